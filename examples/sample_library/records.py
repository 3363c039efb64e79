"""What the report on mountains, buildings, records and people says."""

from __future__ import annotations

from .model import Bars, Line, Page, Report, Table

__all__ = ["RECORDS"]

RECORDS = Report(
    file="world-records.pdf",
    title="Heights, Spans and Speeds",
    subtitle="Records of mountains, engineering, athletics and mankind",
    summary="The highest, the longest, the fastest: superlatives make poor arguments and good data. This "
    "almanac follows some of them through time, from the first ascents in the Himalaya to the latest marathon.",
    colour="#4a2c6b",
    pages=(
        Page(
            "The fourteen eight-thousanders",
            """
Fourteen mountains rise above 8,000 metres, all of them in the Himalaya and the Karakoram. The first to be climbed
was not the easiest: Maurice Herzog and Louis Lachenal stood on Annapurna in 1950, and paid with fingers and toes.
Everest followed in 1953, K2 a year later. With Shishapangma, in 1964, the last of the fourteen had been reached.

Reinhold Messner was the first to have stood on them all, in 1986. Everest's height, 8,848.86 metres, was announced
jointly by China and Nepal in 2020 after both had sent surveyors with satellite receivers to the top.
""",
            (
                Table(
                    "Heights and first ascents",
                    "Mountain",
                    {"Height (m)": "peak height", "First ascent": "first ascent"},
                ),
            ),
        ),
        Page(
            "Seven summits, seven continents",
            """
Climbers who cannot spare fourteen expeditions may collect the highest point of each continent instead. Richard
Bass, a businessman from Texas, completed the round first, in 1985. Aconcagua in Argentina, at 6,961 metres, is the
highest mountain outside Asia and can be walked up in good weather. Kilimanjaro is a volcano, and crowds hike to its
rim.

The list is disputed at both ends. Some count Mont Blanc for Europe and leave Elbrus in the Caucasus to Asia; some
take Kosciuszko in Australia, a stroll, in place of Puncak Jaya on New Guinea, a rock climb. Vinson in Antarctica
was first climbed only in 1966.
""",
            (Bars("Highest summit of each continent", "continent summit", "metres above sea level", "Everest, Asia"),),
        ),
        Page(
            "The tallest buildings of the world",
            """
Dubai's Burj Khalifa, 828 metres high and finished in 2010, has been without a rival since. It rises on a plan with
three lobes, narrowing as it goes, so that the wind never meets the same shape twice. Merdeka 118 in Kuala Lumpur
took second place in 2023; much of its lead over the Shanghai Tower is spire.

Five of the eleven towers listed stand in mainland China. The two with the letters CTF in their names, in Guangzhou
and Tianjin, are of exactly equal height, 530 metres. New York's only entry, One World Trade Center, measures 541.3
metres or 1,776 feet, after the year of American independence.
""",
            (
                Table(
                    "Buildings above 500 metres, by architectural height",
                    "Building",
                    {"City": "tower city", "Height (m)": "tower height", "Completed": "tower completed"},
                ),
            ),
        ),
        Page(
            "A century of record towers",
            "The tallest building of its time, by year of completion.",
            (Bars("Height in metres", "record tower", "metres", "Burj Khalifa 2010", direction="up"),),
            scanned=True,
        ),
        Page(
            "Long spans: suspension bridges",
            """
A suspension bridge hangs its roadway from cables, and the distance between its towers is the measure of ambition.
Brooklyn Bridge astonished the world of 1883 with 486 metres. The George Washington Bridge doubled that in 1931, and
the Golden Gate, six years later, carried the record to 1,280 metres and kept it for twenty-seven years.

Akashi Kaikyo near Kobe held the title from 1998. An earthquake moved its half-built towers apart and lengthened the
span by almost a metre, to 1,991. The present champion crosses the Dardanelles: the 1915 Çanakkale Bridge spans
2,023 metres, a number chosen for the hundredth year of the Turkish republic.
""",
            (
                Table(
                    "Main spans of suspension bridges",
                    "Bridge",
                    {"Country": "bridge country", "Main span (m)": "bridge span", "Opened": "bridge opened"},
                ),
                Bars("Main spans in metres", "bridge span", "metres", "1915 Çanakkale"),
            ),
        ),
        Page(
            "Railway tunnels through mountains and under the sea",
            """
The Gotthard Base Tunnel, 57.1 kilometres long, has been the longest railway tunnel since 2016. Trains pass beneath
the Alps almost on the level, with up to 2,300 metres of rock above them, where the old line climbed in spirals.

Seikan, between Honshu and Hokkaido, and the Channel Tunnel both run under the sea. Seikan is longer overall, but
the Channel Tunnel has the longer stretch beneath water, about 38 kilometres. The Simplon Tunnel of 1906 shows how
long a record can stand: it remained the world's longest for the better part of the twentieth century.
""",
            (
                Bars("Length of railway tunnels", "tunnel length", "kilometres", "Gotthard Base"),
                Table(
                    "Railway tunnels",
                    "Tunnel",
                    {"Country": "tunnel country", "Length (km)": "tunnel length", "Opened": "tunnel opened"},
                ),
            ),
        ),
        Page(
            "One hundred metres: the men's world record",
            """
Jim Hines ran 9.95 seconds in the thin air of Mexico City in 1968, the first electronic time below ten, and nobody
beat it for fifteen years. From 1983 the record came down in small change, hundredths at a time: Calvin Smith, Carl
Lewis, Leroy Burrell, Donovan Bailey.

Maurice Greene cut five hundredths at once in 1999. Then came Usain Bolt. In Berlin in August 2009 he ran 9.58,
which took eleven hundredths off his own mark of the year before, the largest step since timing became electronic.
It has stood ever since. Times are those valid at the end of each year shown.
""",
            (
                Table("Record at the end of the year", "Year", {"Time (s)": "sprint record", "Runner": "sprinter"}),
                Line("Men's 100 metres world record", "sprint record", "year", "seconds", steps=True),
            ),
        ),
        Page(
            "The marathon on its way to two hours",
            """
A marathon is 42.195 kilometres, and for men the two-hour wall stood 35 seconds away in 2023. Berlin, flat and cool,
has been the place to attempt records: nine of the twelve below were set there. Eliud Kipchoge ran two of them, the
better one 2:01:09 in 2022. He also went below two hours in Vienna in 2019, with changing pacemakers and a laser to
follow, which does not count.

Kelvin Kiptum, only 23, took the record to 2:00:35 in Chicago in October 2023. He died in a road accident four
months later.
""",
            (
                Table(
                    "Men's marathon world record",
                    "Year",
                    {"Time": "marathon record", "Runner": "marathon runner", "City": "marathon city"},
                ),
            ),
        ),
        Page(
            "World population since 1950",
            """
In the middle of the twentieth century some 2.5 billion people lived on Earth. By 2020 the United Nations counted
7,841 million, more than three times as many within one lifetime. The eighth billion was reached in November 2022.

The curve looks straight, and that is news. Growth in per cent peaked in the 1960s at about two a year and has been
halved since. What stays roughly level is the number of people added, some 80 million a year: a falling rate applied
to a rising total. Families are smaller nearly everywhere; numbers still rise because so many people are of an age
to have children.
""",
            (Line("World population, 1950 to 2020", "world population", "year", "million"),),
        ),
    ),
)
