"""SAF-T Cash Register: the journal of tills as an XML file, Norway and Denmark."""
