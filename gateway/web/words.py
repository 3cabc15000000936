"""What the page says, in Norwegian, Swedish, Finnish and English. Every language has every key."""

from __future__ import annotations

from typing import Final

_ROWS: Final = {
    # key: Norwegian, Swedish, Finnish, English
    "visitors": ("Besøkende", "Besökare", "Kävijöitä", "Visitors"),
    "today": ("i dag", "i dag", "tänään", "today"),
    "inside": ("Inne nå", "Inne nu", "Sisällä nyt", "Inside now"),
    "conversion": ("Konvertering", "Konvertering", "Konversio", "Conversion"),
    "capture": ("Fangstrate", "Fångstgrad", "Pysähtymisaste", "Capture rate"),
    "sales": ("Kvitteringer", "Kvitton", "Kuitit", "Receipts"),
    "completeness": ("Dekning", "Täckning", "Kattavuus", "Completeness"),
    "hours": ("Åpningstid", "Öppettid", "Aukiolo", "Hours"),
    "open": ("åpent", "öppet", "auki", "open"),
    "closed": ("stengt", "stängt", "suljettu", "closed"),
    "opens": ("åpner", "öppnar", "avautuu klo", "opens"),
    "closes": ("stenger", "stänger", "sulkeutuu klo", "closes"),
    "zones": ("Soner", "Zoner", "Alueet", "Zones"),
    "day": ("Dagen", "Dagen", "Päivä", "The day"),
    "zone": ("Sone", "Zon", "Alue", "Zone"),
    "alarms": ("Varsler", "Larm", "Hälytykset", "Alarms"),
    "no_alarms": ("Ingen varsler", "Inga larm", "Ei hälytyksiä", "No alarms"),
    "links": ("Forbindelser", "Anslutningar", "Yhteydet", "Links"),
    "counters": ("Tellere og kasser", "Räknare och kassor", "Laskurit ja kassat", "Counters and tills"),
    "upstreams": ("Mottakere", "Mottagare", "Vastaanottajat", "Receivers"),
    "pending": ("venter", "väntar", "odottaa", "pending"),
    "rejected": ("avvist", "avvisade", "hylätty", "rejected"),
    "books": ("Regnskap", "Bokföring", "Kirjanpito", "Books"),
    "balanced": ("stemmer, avvik 0", "stämmer, avvikelse 0", "täsmää, ero 0", "balanced, difference 0"),
    "unbalanced": ("avvik", "avvikelse", "ero", "difference"),
    "up": ("tilkoblet", "ansluten", "yhdistetty", "connected"),
    "down": ("frakoblet", "frånkopplad", "katkennut", "not connected"),
    "since": ("siden", "sedan", "klo", "since"),
    "last": ("sist", "senast", "viimeksi", "last"),
    "heard": ("hørt", "hörd", "kuultu", "heard"),
    "none": ("ingen", "inga", "ei yhtään", "none"),
    "ok": ("i orden", "i ordning", "kunnossa", "ok"),
    "degraded": ("svekket", "försämrad", "heikentynyt", "degraded"),
    "fault": ("feil", "fel", "vika", "fault"),
    "silent": ("ikke hørt", "inte hörd", "ei kuultu", "not heard"),
    "misconfigured": ("feil oppsett", "felkonfigurerad", "väärin määritetty", "misconfigured"),
    "nothing_waits": ("alt levert", "allt levererat", "kaikki toimitettu", "all delivered"),
    "no_denominator": ("ingen besøkende ennå", "inga besökare än", "ei kävijöitä vielä", "no visitors yet"),
    "nobody_passed": (
        "ingen forbipasserende ennå",
        "inga förbipasserande än",
        "ei ohikulkijoita vielä",
        "nobody has passed yet",
    ),
    "too_little": (
        "for lite er observert",
        "för lite är observerat",
        "liian vähän havaintoja",
        "too little was watched",
    ),
    "not_configured": ("ikke satt opp", "inte inställt", "ei määritetty", "not configured"),
    "gap": ("ufullstendig", "ofullständig", "puutteellinen", "incomplete"),
    "gap_means": (
        "ikke alle tellere ble hørt",
        "inte alla räknare hördes",
        "kaikkia laskureita ei kuultu",
        "not every counter was heard",
    ),
    "loading": ("Henter tallene …", "Hämtar siffrorna …", "Haetaan lukuja …", "Fetching the figures …"),
    "no_script": (
        "Siden trenger JavaScript for å vise tallene.",
        "Sidan behöver JavaScript för att visa siffrorna.",
        "Sivu tarvitsee JavaScriptin lukujen näyttämiseen.",
        "The page needs JavaScript to show the figures.",
    ),
    "no_zones": (
        "Ingen soner er satt opp: uten [zone] i konfigurasjonen er det ingenting å vise.",
        "Inga zoner är inställda: utan [zone] i konfigurationen finns inget att visa.",
        "Alueita ei ole määritetty: ilman asetusta [zone] ei ole mitään näytettävää.",
        "No zones are set up: without [zone] in the configuration there is nothing to show.",
    ),
    "no_windows": (
        "Ingen avsluttede tidsrom i dag ennå",
        "Inga avslutade tidsperioder i dag än",
        "Ei vielä päättyneitä jaksoja tänään",
        "No window has closed today yet",
    ),
    "simulated": (
        "Simulert: ingen av disse menneskene finnes.",
        "Simulerat: inga av dessa människor finns.",
        "Simuloitu: näitä ihmisiä ei ole olemassa.",
        "Simulated: none of these people exist.",
    ),
    "untrusted": (
        "Klokken er ikke til å stole på ennå.",
        "Klockan går inte att lita på ännu.",
        "Kelloon ei voi vielä luottaa.",
        "The clock cannot be trusted yet.",
    ),
    "withheld": (
        "Bufferet kan ikke skrives; tellinger bekreftes ikke nå:",
        "Bufferten kan inte skrivas; räkningar bekräftas inte nu:",
        "Puskuriin ei voi kirjoittaa; laskentoja ei kuitata nyt:",
        "The buffer cannot be written; counts are not acknowledged now:",
    ),
    "stale": (
        "Ingen svar fra gatewayen siden",
        "Inget svar från gatewayen sedan",
        "Ei vastausta laitteelta klo",
        "No answer from the gateway since",
    ),
    "mall": ("kjøpesenter", "köpcentrum", "kauppakeskus", "mall"),
    "floor": ("etasje", "våning", "kerros", "floor"),
    "store": ("butikk", "butik", "myymälä", "store"),
    "area": ("område", "område", "alue", "area"),
    "street": ("gate", "gata", "katu", "street"),
}
TAGS: Final = ("nb", "sv", "fi", "en")
WORDS: Final[dict[str, dict[str, str]]] = {
    tag: {key: row[column] for key, row in _ROWS.items()} for column, tag in enumerate(TAGS)
}
