"""ESC/POS receipt printers: a tap on the line from till to printer."""
