"""What the report on the solar system says."""

from __future__ import annotations

from .model import Bars, Discs, KeyFigures, Line, Page, Report, Table

__all__ = ["SOLAR_SYSTEM"]

SOLAR_SYSTEM = Report(
    file="solar-system.pdf",
    title="The Solar System in Figures",
    subtitle="Planets and large moons: sizes, orbits, days and climates",
    summary="Eight planets share one Sun, and hardly anything else. This fact book sets their measured properties side "
    "by side: how large and how heavy they are, how long a year takes, how warm it gets, and what it costs to leave.",
    colour="#1d3f72",
    contents=True,
    pages=(
        Page(
            "How large the planets are",
            """
The eight planets fall into two groups with nothing in between. Mercury, Venus, Earth and Mars are small, rocky
bodies; the largest of them, Earth, measures 12,756 kilometres across at the equator. The four outer planets are of
another order. Jupiter alone spans 142,984 kilometres, a little more than eleven Earths in a row, and Saturn without
its rings comes close behind.

Uranus and Neptune are near twins, each about four times as wide as Earth. Mercury, at 4,879 kilometres, is smaller
than Jupiter's moon Ganymede, though more than twice as heavy. The figures are equatorial diameters: quickly
spinning planets bulge, and Saturn measured from pole to pole would lose about a tenth of its width.
""",
            (Bars("Equatorial diameter of the planets", "planet diameter", "kilometres", "Jupiter"),),
        ),
        Page(
            "Mass and density",
            """
Weighing a planet takes no scales. The path of a moon or of a passing spacecraft bends with the pull of the body it
passes, and from that bend follows the mass. Jupiter holds more than twice as much matter as all other planets
together: 1,898 against about 770 in units of 10^24 kilograms.

Divide mass by volume, and the inside of a planet shows. Earth is the densest of the eight, at 5,514 kilograms per
cubic metre, because iron has sunk to its core and is squeezed there. Mercury follows closely although it is small:
its iron core fills most of it. Saturn, at 687, is lighter than water. Given an ocean wide enough, Saturn would
float.
""",
            (
                Table(
                    "Mass and mean density",
                    "Planet",
                    {"Mass (10^24 kg)": "planet mass", "Density (kg/m³)": "planet density"},
                ),
                Bars("Mean density", "planet density", "kilograms per cubic metre", "Saturn"),
            ),
        ),
        Page(
            "Days and spins",
            """
A planet turns once on its axis in its rotation period, measured against the stars. The day that somebody standing
on the ground would live through, from noon to noon, is another matter, since the planet moves along its orbit
meanwhile. For Earth the two differ by four minutes. On Mercury the difference is grotesque: the planet turns in
1,407.6 hours but waits 4,222.6 hours from one noon to the next, which is two of its own years.

Venus and Uranus spin backwards, which the table marks with a minus sign. Jupiter is the quickest. It turns in 9.9
hours, and its cloud tops at the equator race along at more than 12 kilometres a second.
""",
            (
                Table(
                    "Rotation and length of the day",
                    "Planet",
                    {
                        "Rotation (hours)": "planet rotation",
                        "Noon to noon (hours)": "planet day",
                        "Tilt (°)": "planet tilt",
                    },
                ),
                Bars("Tilt of the axis", "planet tilt", "degrees", "Uranus", direction="up"),
            ),
        ),
        Page(
            "The planets at one scale",
            "Equatorial diameters, drawn to scale.",
            (Discs("", "planet diameter"),),
            scanned=True,
        ),
        Page(
            "Distance and the length of a year",
            """
The farther out, the slower: that is Kepler's third law in three words. The square of the orbital period grows as
the cube of the distance from the Sun, so that on paper with logarithmic axes all planets lie on one straight line.
Mercury completes its year in 88 days at a speed of 47.4 kilometres a second. Neptune, thirty times as far out as
Earth, needs 59,800 days, nearly 164 years; it was discovered in 1846 and finished its first observed lap only in
2011.

The law holds for anything that circles the Sun, planets, comets and dust alike, whatever its own mass.
""",
            (
                Line(
                    "Length of the year against distance from the Sun, logarithmic axes",
                    "planet year",
                    "mean distance from the Sun, million kilometres",
                    "days",
                    x="planet distance",
                    log=True,
                    named=True,
                ),
            ),
            ("planet speed",),
        ),
        Page(
            "Temperature: why Venus beats Mercury",
            """
Sunlight weakens with the square of the distance, and so the list of mean temperatures should fall steadily from the
first planet to the last. It does, with one exception. Venus is the hottest planet of all, 464 degrees Celsius day
and night, while Mercury, which receives more than three times the sunlight, averages 167.

The reason is the blanket of carbon dioxide round Venus, ninety times as heavy as our own air, which lets sunlight
in and keeps heat from leaving. Mercury has no air to speak of. Earth owes its mild 15 degrees to a modest
greenhouse effect; without any it would be frozen over. Neptune closes the list at 200 degrees below zero.
""",
            (Bars("Mean temperature", "planet temperature", "degrees Celsius", "Venus"),),
        ),
        Page(
            "Gravity, and the speed needed to get away",
            """
Whoever weighs 70 kilograms on bathroom scales at home would read about 26 on Mars and 165 at the cloud tops of
Jupiter, where there is nothing to stand on. Surface gravity depends on mass and on radius, and the two pull in
opposite directions: Saturn has 95 times the mass of Earth but is so wide that it pulls slightly less at its
surface, 9.0 metres per second squared.

A rocket cares about escape velocity, the speed at which something thrown upwards never falls back. It is 11.2
kilometres a second from Earth, 5.0 from Mars, and 59.5 from Jupiter. The low figure for Mars is one reason why a
crew could hope to come home from there.
""",
            (
                KeyFigures(
                    (
                        ("planet escape velocity", "Earth", "km/s to leave Earth"),
                        ("planet escape velocity", "Mars", "km/s to leave Mars"),
                        ("planet escape velocity", "Jupiter", "km/s to leave Jupiter"),
                    )
                ),
                Table(
                    "Gravity and escape velocity",
                    "Planet",
                    {"Gravity (m/s²)": "planet gravity", "Escape velocity (km/s)": "planet escape velocity"},
                ),
                Bars("Escape velocity", "planet escape velocity", "kilometres per second", "Mars"),
            ),
        ),
        Page(
            "The seven large moons",
            """
Hundreds of moons circle the planets, most of them captured boulders. Seven stand apart by size, ours among them.
Ganymede leads with a diameter of 5,262 kilometres; Titan, the only moon with a dense atmosphere, is a close second.

Galileo Galilei saw four of the seven in January 1610, when he turned a telescope with a lens a few centimetres wide
towards Jupiter. Io, the innermost of his four, rounds its planet in 1.769 days and is kneaded so thoroughly by the
tides that it is the most volcanic body known. Triton, which William Lassell found seventeen days after Neptune
itself, runs against the spin of its planet, a sign that it was captured.
""",
            (
                Table(
                    "Moons wider than 2,500 kilometres",
                    "Moon",
                    {
                        "Planet": "moon planet",
                        "Diameter (km)": "moon diameter",
                        "Period (days)": "moon period",
                        "Discovery": "moon discovery",
                    },
                ),
                Bars("Diameter of the large moons", "moon diameter", "kilometres", "Moon"),
            ),
        ),
        Page(
            "Ellipses and seasons",
            """
No orbit is a perfect circle. Eccentricity says how far an ellipse departs from one: 0 is a circle, and values close
to 1 are long and thin. Venus has the roundest path of all, 0.007. Mercury has the most stretched one, 0.206, and at
its closest it receives more than twice the sunlight that reaches it at its farthest.

Seasons have little to do with that. They come from tilt, the lean of the axis against the orbit. Earth leans 23.4
degrees and Mars 25.2, and so both know spring and autumn, although those of Mars last nearly twice as long. Jupiter
stands almost upright at 3.1 degrees and has no seasons worth the name. Uranus lies on its side at 97.8 degrees:
each pole spends some forty years in light and then as long in darkness.
""",
            (Bars("Orbital eccentricity", "planet eccentricity", "0 is a circle", "Mercury", direction="up"),),
            ("planet tilt",),
        ),
    ),
)
