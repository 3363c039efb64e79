"""What the report on the atmosphere, the oceans and the lakes says."""

from __future__ import annotations

from .model import Bars, KeyFigures, Line, Page, Report, Table

__all__ = ["AIR_AND_WATER"]

AIR_AND_WATER = Report(
    file="air-and-water.pdf",
    title="Air and Water",
    subtitle="A data review of the atmosphere, the oceans and the Great Lakes",
    summary="Two thin films, one of gas and one of liquid, make the surface of the Earth habitable. This "
    "review collects reference figures for both, from the recipe of dry air to the years "
    "a drop of water spends in Lake Superior.",
    colour="#0f5b5e",
    pages=(
        Page(
            "What dry air is made of",
            """
Take the moisture out of a litre of clean air, and three gases account for more than 99.9 per cent of what remains.
Nitrogen contributes 78.084 per cent by volume, oxygen 20.9476, and argon, an idle gas that leaks from potassium in
rocks, 0.934. Everything else is trace.

The trace gases matter out of proportion. The standard lists carbon dioxide with 0.0314 per cent, or 314 parts per
million, which was a fair value when it was compiled; by 2024 the figure measured on Mauna Loa was a third higher.
Xenon, the rarest entry, amounts to fewer than one part in ten million. Water vapour is left out because it varies,
from next to nothing over Antarctica to some four per cent in the tropics.
""",
            (Table("Composition of clean dry air at sea level", "Gas", {"Share (% by volume)": "air composition"}),),
            ("carbon dioxide",),
        ),
        Page(
            "Layers of the standard atmosphere",
            """
Engineers need an agreed atmosphere in which to compare aircraft, even though no day ever matches it. The standard
divides the air into layers within each of which temperature changes evenly with height. It begins at sea level with
288.15 kelvin, which is 15 degrees Celsius, and a pressure of 101,325 pascals.

Pressure falls faster than intuition suggests. At 11 kilometres, where airliners cruise, it has dropped to 22,632
pascals, less than a quarter. At 32 kilometres, within reach of large balloons, less than one per cent is left. An
altimeter in a cockpit is a barometer with this very table built in.
""",
            (
                Table(
                    "Base of each layer",
                    "Height (km)",
                    {"Region": "air layer", "Temperature (K)": "air temperature", "Pressure (Pa)": "air pressure"},
                ),
            ),
        ),
        Page(
            "Temperature with height",
            """
Climb a mountain and it gets colder, 6.5 kelvin for each kilometre. The rule ends at the tropopause. From 11 to 20
kilometres the standard holds temperature steady at 216.65 kelvin, about 56 degrees of frost, and above that the
trend reverses.

Ozone is the cause. It absorbs ultraviolet light and warms the stratosphere from within, so that at 47 kilometres
the thermometer is back at 270.65 kelvin, close to the freezing point of water. Higher up the ozone thins out, and
in the mesosphere the air cools again. A warm layer above a cold one does not mix readily, which is why the ash of a
great eruption can drift through the stratosphere for years.
""",
            (
                Line(
                    "Temperature of the standard atmosphere",
                    "air temperature",
                    "height above sea level, kilometres",
                    "kelvin",
                ),
            ),
        ),
        Page(
            "The Keeling curve: carbon dioxide since 1959",
            """
In March 1958 Charles David Keeling began to measure carbon dioxide on the slope of Mauna Loa, a volcano on Hawaii
far from factories and forests. The series has run ever since and is the longest of its kind. Its first full year,
1959, averaged 315.98 parts per million. The mean for 2013 was 396.74; the 400 mark was passed in the annual mean of
2015, and 2024 reached 424.61.

No year in the record is lower than the one before it. The curve also bends upwards: a decade now adds nearly three
times what it did in the 1960s, as the next page but one shows. The yearly means drawn here hide a seasonal wave of
about six parts per million, the breathing of northern forests.
""",
            (Line("Carbon dioxide at Mauna Loa, annual means", "carbon dioxide", "year", "parts per million"),),
        ),
        Page(
            "Pressure of the standard atmosphere",
            "Nearly all the air there is lies in the lowest twenty kilometres.",
            (Line("Pressure with height", "air pressure", "height above sea level, kilometres", "pascals"),),
            scanned=True,
        ),
        Page(
            "Faster every decade",
            """
How quickly does the concentration rise? Between 1960 and 1970 the annual mean at Mauna Loa went up by 8.77 parts
per million. Between 2010 and 2020 it went up by 24.11, close to three times as much. The step from 2023 to 2024,
3.53 parts per million, was the largest in the series.

Growth is not smooth. Years with a strong El Niño, such as 1998 and 2016, jump ahead, because drought in the tropics
weakens the uptake of carbon by plants. The eruption of Pinatubo in 1991 did the opposite and slowed the rise for
two years. Only about half of what is emitted stays in the air at all; oceans and vegetation take up the rest.
""",
            (
                KeyFigures(
                    (
                        ("carbon dioxide", "1960", "ppm in 1960"),
                        ("carbon dioxide", "1990", "ppm in 1990"),
                        ("carbon dioxide", "2024", "ppm in 2024"),
                    )
                ),
                Table(
                    "Annual mean at the turn of each decade",
                    "Year",
                    {"Carbon dioxide (ppm)": "carbon dioxide"},
                    ("1960", "1970", "1980", "1990", "2000", "2010", "2020"),
                ),
            ),
        ),
        Page(
            "Five oceans measured",
            """
The sea floor has been mapped on a grid of one arc-minute, and adding up its cells gives the size of each ocean. The
Pacific covers 161.8 million square kilometres, more than all land on Earth, and holds about half of all sea water.
The Atlantic has about half its area.

The Arctic is the smallest in every respect. It is ringed by broad, shallow shelves, and its 18.75 million cubic
kilometres of water are under three per cent of the Pacific's. The Mediterranean and the Baltic are counted with the
Atlantic, the South China Sea apart. Where one ocean ends and the next begins is a convention: here the Southern
Ocean starts at 60 degrees south.
""",
            (
                Table(
                    "Area, volume and depth",
                    "Ocean",
                    {
                        "Area (1,000 km²)": "ocean area",
                        "Volume (1,000 km³)": "ocean volume",
                        "Mean depth (m)": "ocean depth",
                        "Greatest depth (m)": "ocean maximum depth",
                    },
                ),
                Bars("Area of the oceans", "ocean area", "thousand square kilometres", "Pacific"),
            ),
        ),
        Page(
            "Deep water, shallow water",
            """
If the whole Pacific were levelled, its floor would lie 4,080 metres down. The Indian Ocean is the second deepest on
average, ahead of the Atlantic, which loses depth to the Mid-Atlantic Ridge that runs along its entire length. The
Arctic averages only 1,205 metres.

Mean depth says nothing about the extremes. Trenches, where one plate of the crust dives beneath another, are narrow
cuts that reach twice as deep. The grid puts the deepest Pacific cell at 10,803 metres, in the Mariana Trench;
soundings within that cell go deeper still, since a cell averages over some four square kilometres. At such depths
the pressure is above a thousand atmospheres, and yet shrimp-like amphipods live there.
""",
            (Bars("Mean depth of the oceans", "ocean depth", "metres", "Pacific", direction="up"),),
            ("ocean maximum depth",),
        ),
        Page(
            "Where the fresh water is",
            """
Of the water on this planet 96.5 per cent is sea water, some 1,338 million cubic kilometres. Most of what is fresh
cannot be drunk either: more than two thirds, 68.7 per cent, is frozen in the ice caps of Antarctica and Greenland
and in glaciers, and a further 30.1 per cent lies underground.

Rivers, on which most cities were founded, carry a vanishing 0.006 per cent of the fresh water at any one moment.
All rivers together hold 2,120 cubic kilometres, less than a sixth of the vapour in the atmosphere. They suffice
because they are refilled every couple of weeks.
""",
            (Bars("Shares of the Earth's fresh water", "fresh water share", "per cent", "Rivers"),),
            ("water volume",),
        ),
        Page(
            "The Great Lakes, and how long water stays",
            """
Superior, Michigan, Huron, Erie and Ontario together hold about a fifth of the fresh water on the surface of the
Earth. Superior deserves its name: it could take in the water of the other four and have room for more.

Retention time is the years it would take the outflow to empty a lake. A drop that enters Superior stays for 191
years on average, so that whatever was spilled there in 1850 is partly still around. Erie, shallow and quick, renews
itself in 2.6 years. It was declared dead in the 1960s, choked by algae, and because it is so quick it recovered
within a decade or two once phosphorus was kept out.
""",
            (
                Table(
                    "Physical features of the Great Lakes",
                    "Lake",
                    {
                        "Area (km²)": "lake area",
                        "Volume (km³)": "lake volume",
                        "Mean depth (m)": "lake mean depth",
                        "Greatest depth (m)": "lake maximum depth",
                        "Retention (years)": "lake retention",
                    },
                ),
                Bars("Retention time", "lake retention", "years", "Superior"),
            ),
        ),
    ),
)
