"""What the page says of alarms in Norwegian, Swedish and Finnish; English comes with each alarm.

`{since}` is a local time, `{name}` a figure of the evidence, `{name%}` the same in per cent.
"""

from __future__ import annotations

from typing import Final

_ROWS: Final = {
    # kind: (what was seen, what to look at), each in Norwegian, Swedish, Finnish
    "dead": (
        (
            "Død: ingen siden {since}, {expected} var ventet",
            "Död: ingen sedan {since}, {expected} var väntade",
            "Mykkä: ei ketään {since} jälkeen, odotettiin {expected}",
        ),
        (
            (
                "Se på: strøm, blokkert linse eller stråle, kabel, adresse. Var døren stengt: rett"
                " åpningstidene."
            ),
            "Se på: ström, skymd lins eller stråle, kabel, adress. Var dörren stängd: rätta öppettiderna.",
            (
                "Tarkista: virta, peittynyt linssi tai säde, kaapeli, osoite. Jos ovi oli kiinni,"
                " korjaa aukioloajat."
            ),
        ),
    ),
    "one_sided": (
        (
            "Ensidig: siden {since} {ins} inn og {outs} ut, {expected_ins} og {expected_outs} var ventet",
            "Ensidig: sedan {since} {ins} in och {outs} ut, {expected_ins} och {expected_outs} var väntade",
            (
                "Yksipuolinen: {since} jälkeen {ins} sisään ja {outs} ulos, odotettiin {expected_ins}"
                " ja {expected_outs}"
            ),
        ),
        (
            "Se på: den ene strålen av et par, ledningen til en kanal, kameraets tellesone, en enveisdør.",
            "Se på: ena strålen i ett par, ledningen till en kanal, kamerans räknezon, en enkelriktad dörr.",
            "Tarkista: parin toinen säde, kanavan johto, kameran laskenta-alue, yksisuuntainen ovi.",
        ),
    ),
    "stuck": (
        (
            "Fastlåst: {count} personer {times} ganger på rad siden {since}",
            "Fastnat: {count} personer {times} gånger i rad sedan {since}",
            "Jumissa: sama luku {count} henkilöä {times} kertaa peräkkäin {since} alkaen",
        ),
        (
            "Se på: en enhet som gjentar siste svar; slå den av og på, forny programvaren.",
            "Se på: en enhet som upprepar sitt senaste svar; stäng av och på den, förnya programvaran.",
            "Tarkista: laite toistaa viimeistä vastaustaan; käynnistä se uudelleen, päivitä ohjelmisto.",
        ),
    ),
    "spike": (
        (
            "Topp: {count} personer på {size_s} s fra {since}, {expected} var ventet, mest hittil {most}",
            "Topp: {count} personer på {size_s} s från {since}, {expected} var väntade, mest hittills {most}",
            (
                "Piikki: {count} henkilöä {size_s} sekunnissa {since} alkaen, odotettiin {expected},"
                " eniten ennen {most}"
            ),
        ),
        (
            (
                "Se på: noe som beveger seg i linse eller stråle, en kontakt som preller; eller noter"
                " hva som skjedde."
            ),
            (
                "Se på: något som rör sig i lins eller stråle, en kontakt som studsar; eller anteckna"
                " vad som hände."
            ),
            "Tarkista: liikettä linssin tai säteen edessä, värähtelevä kosketin; tai kirjaa, mitä tapahtui.",
        ),
    ),
    "spike_impossible": (
        (
            "Umulig: {count} personer samme vei på {size_s} s fra {since}, høyst {limit} kan passere",
            "Omöjligt: {count} personer åt ett håll på {size_s} s från {since}, högst {limit} kan passera",
            (
                "Mahdoton: {count} henkilöä samaan suuntaan {size_s} sekunnissa {since} alkaen,"
                " enintään {limit} mahtuu"
            ),
        ),
        (
            "Se på: en kontakt som preller, et register som ble nullstilt, pulser per person.",
            "Se på: en kontakt som studsar, ett register som nollställdes, pulser per person.",
            "Tarkista: värähtelevä kosketin, nollattu rekisteri, pulsseja henkilöä kohti.",
        ),
    ),
    "closed_counts": (
        (
            "Teller mens det er stengt: {count} personer siden {since}",
            "Räknar när det är stängt: {count} personer sedan {since}",
            "Laskee suljettuna: {count} henkilöä {since} jälkeen",
        ),
        (
            "Se på: åpningstider, renhold, et banner eller lys som beveger seg, noen som er inne.",
            "Se på: öppettider, städning, en banderoll eller ett ljus som rör sig, någon som är inne.",
            "Tarkista: aukioloajat, siivous, liikkuva juliste tai valo, joku on sisällä.",
        ),
    ),
    "clock": (
        (
            "Klokke: tellerens klokke går {offset_s} s feil",
            "Klocka: räknarens klocka går {offset_s} s fel",
            "Kello: laskurin kello on {offset_s} s väärässä",
        ),
        (
            "Se på: tellerens tidsserver og tidssone, klokkebatteriet.",
            "Se på: räknarens tidsserver och tidszon, klockbatteriet.",
            "Tarkista: laskurin aikapalvelin ja aikavyöhyke, kellon paristo.",
        ),
    ),
    "clock_shifted": (
        (
            "Klokke: dagen passer best når den flyttes {hours} t ({likeness%} av veien)",
            "Klocka: dagen passar bäst när den flyttas {hours} h ({likeness%} av vägen)",
            "Kello: päivä sopii parhaiten, kun sitä siirretään {hours} h ({likeness%} matkasta)",
        ),
        (
            "Se på: tellerens tidssone og sommertid.",
            "Se på: räknarens tidszon och sommartid.",
            "Tarkista: laskurin aikavyöhyke ja kesäaika.",
        ),
    ),
    "swapped": (
        (
            "Byttet: inn og ut ser ombyttet ut ({likeness%} av veien til speilbildet)",
            "Omkastat: in och ut ser ombytta ut ({likeness%} av vägen till spegelbilden)",
            "Vaihtunut: sisään ja ulos näyttävät vaihtuneen ({likeness%} matkasta peilikuvaan)",
        ),
        (
            "Se på: monteringsretning, ledningene til de to kanalene, `reversed` i konfigurasjonen.",
            "Se på: monteringsriktning, ledningarna till de två kanalerna, `reversed` i konfigurationen.",
            "Tarkista: asennussuunta, kahden kanavan johdot, asetus `reversed`.",
        ),
    ),
    "imbalance": (
        (
            "Ubalanse: {ins} inn og {outs} ut, {imbalance%}; vanlig er {usual%}",
            "Obalans: {ins} in och {outs} ut, {imbalance%}; vanligt är {usual%}",
            "Epätasapaino: {ins} sisään ja {outs} ulos, {imbalance%}; tavallisesti {usual%}",
        ),
        (
            "Se på: tellerens retning og høyde, folk som blir stående i feltet, en annen utgang.",
            "Se på: räknarens riktning och höjd, folk som står kvar i fältet, en annan utgång.",
            "Tarkista: laskurin suuntaus ja korkeus, kentässä seisovat ihmiset, toinen uloskäynti.",
        ),
    ),
    "slow_loss": (
        (
            "Langsomt tap: {change%} mot egen fortid og naboene siden omtrent {since}",
            "Långsam förlust: {change%} mot egen historia och grannarna sedan ungefär {since}",
            "Hidas häviö: {change%} omaan menneisyyteen ja naapureihin verrattuna noin {since} alkaen",
        ),
        (
            "Se på: smuss på linsen, retning, en reol eller plante i veien, svakt batteri eller svak stråle.",
            "Se på: smuts på linsen, riktning, en hylla eller växt i vägen, svagt batteri eller svag stråle.",
            "Tarkista: likainen linssi, suuntaus, hylly tai kasvi edessä, heikko paristo tai säde.",
        ),
    ),
    "level_shift": (
        (
            "Nivåskifte: {change%} siden {since}, som naboene ikke deler",
            "Nivåskifte: {change%} sedan {since}, som grannarna inte delar",
            "Tason muutos: {change%} {since} alkaen, naapureilla ei",
        ),
        (
            (
                "Ble telleren flyttet, byttet eller justert, eller åpnet eller stengte noe ved siden av?"
                " Sammenligninger over denne dagen sier ingenting."
            ),
            (
                "Flyttades, byttes eller justerades räknaren, eller öppnade eller stängde något bredvid?"
                " Jämförelser över den här dagen säger ingenting."
            ),
            (
                "Siirrettiinkö, vaihdettiinko tai säädettiinkö laskuri, tai avattiinko tai suljettiinko"
                " jotain vieressä? Vertailut tämän päivän yli eivät kerro mitään."
            ),
        ),
    ),
    "event_high": (
        (
            "Travelt: {count} personer siden {since}, {expected} var ventet",
            "Livligt: {count} personer sedan {since}, {expected} var väntade",
            "Vilkasta: {count} henkilöä {since} jälkeen, odotettiin {expected}",
        ),
        (
            "Ingenting er feil. Noter hva som skjedde, så dagen kan holdes utenfor sammenligninger.",
            "Inget är fel. Anteckna vad som hände, så att dagen kan lämnas utanför jämförelser.",
            "Mikään ei ole rikki. Kirjaa, mitä tapahtui, jotta päivä voidaan jättää vertailuista.",
        ),
    ),
}
ALARM_WORDS: Final[dict[str, dict[str, str]]] = {
    tag: {
        f"{part}_{kind}": texts[column]
        for kind, row in _ROWS.items()
        for part, texts in zip(("alarm", "remedy"), row, strict=True)
    }
    for column, tag in enumerate(("nb", "sv", "fi"))
}
