"""What the report on the chemical elements says."""

from __future__ import annotations

from .model import Bars, KeyFigures, Page, Report, Table

__all__ = ["ELEMENTS"]

ELEMENTS = Report(
    file="chemical-elements.pdf",
    title="The Chemical Elements",
    subtitle="A fact book of metals, gases and the constants behind them",
    summary="Everything that can be touched is made of some ninety kinds of atom. The pages that follow "
    "compare them by what can be measured on a bench: where they melt, how heavy they are, "
    "how well they conduct, how long they last.",
    colour="#7a2e1f",
    pages=(
        Page(
            "What the crust is made of",
            """
A kilogram of average rock from the continental crust contains 461 grams of oxygen. It is not there as a gas but
bound, most of it to silicon, which comes second with 282 grams. The two form quartz, feldspar and clay, and so
nearly every landscape.

Aluminium is the most plentiful metal, ahead of iron, although in the 1850s it was dearer than gold, until
electrolysis made it cheap: abundance and price have little to do with each other as long as nobody can break the
bond with oxygen. Hydrogen, the commonest element of the universe, brings up the rear of this list with 1.4 grams.
""",
            (Bars("Abundance in the continental crust", "crust abundance", "milligrams per kilogram", "Oxygen"),),
        ),
        Page(
            "Melting points of the metals",
            """
Tungsten stays solid up to 3,422 degrees Celsius, higher than any other metal, and therefore became the filament of
the light bulb. Tantalum, the next in this selection, gives way four hundred degrees lower. At the other end stands
mercury, which freezes only at 39 degrees below zero and was long the liquid in thermometers.

Gallium melts at 30 degrees, in the palm of a hand. Tin and lead melt low enough for a kitchen stove, and an alloy
of the two melts lower than either, which made it the classic solder. The gap between copper at 1,085 and iron at
1,538 degrees helps to explain why a Bronze Age came before an Iron Age: charcoal fires reached the first long
before the second.
""",
            (Bars("Melting point", "melting point", "degrees Celsius", "Tungsten"),),
        ),
        Page(
            "Heavy metal, light metal",
            """
A cube of osmium with edges of ten centimetres would weigh 22.59 kilograms. Osmium is the densest element, by a
hair; iridium is so close that the order was argued about for decades. Both are platinum metals, and both are two
thirds denser than mercury.

Gold and tungsten share the same density to three figures, 19.3 grams per cubic centimetre, and forgers have
exploited this by plating tungsten bars. Lead, the byword for heaviness, has half the density of osmium. Lithium is
the lightest of all metals and floats on oil.
""",
            (
                Table(
                    "Density of selected metals",
                    "Metal",
                    {"Symbol": "metal symbol", "Density (g/cm³)": "metal density"},
                ),
            ),
        ),
        Page(
            "Conductors of electricity",
            """
Silver conducts electricity better than any other metal: 15.9 nanoohm metres at room temperature. Copper comes
within six per cent of it at a small fraction of the price, and so the world is wired with copper.

Overhead power lines are a different story. They are made of aluminium round a core of steel. Aluminium resists more
than copper, 26.5 against 16.8, but weighs less than a third as much, and for a cable that has to carry itself
between pylons what counts is conductance by weight. Gold conducts less well than copper; connectors are plated with
it because it does not tarnish, not because it conducts. Iron and lead are poor conductors as metals go.
""",
            (
                Bars(
                    "Electrical resistivity near 20 °C: lower conducts better",
                    "resistivity",
                    "nanoohm metres",
                    "Silver",
                ),
            ),
        ),
        Page(
            "The noble gases",
            """
For a century chemists overlooked one per cent of the air. Argon was found in 1894, after Lord Rayleigh had noticed
that nitrogen taken from air weighed slightly more than nitrogen made in a flask. William Ramsay, who shared the
search, went on to boil off neon, krypton and xenon from liquid air in a few weeks of 1898.

Noble gases have full electron shells and no wish to react. They differ in how reluctantly they liquefy: the heavier
the atom, the higher the boiling point. Helium is the extreme, liquid only below 268.9 degrees of frost, four
degrees above absolute zero. Hospitals depend on it, since it cools the magnets of nearly all MRI scanners.
""",
            (
                KeyFigures(
                    (
                        ("noble boiling point", "Helium", "°C: helium boils"),
                        ("noble boiling point", "Argon", "°C: argon boils"),
                        ("noble boiling point", "Xenon", "°C: xenon boils"),
                    )
                ),
                Table(
                    "The stable noble gases",
                    "Gas",
                    {
                        "Atomic number": "noble number",
                        "Boiling point (°C)": "noble boiling point",
                        "Isolated on Earth": "noble discovery",
                    },
                ),
                Bars("Boiling points", "noble boiling point", "degrees Celsius", "Helium"),
            ),
        ),
        Page(
            "Electronegativity, Pauling scale",
            "How strongly an atom draws shared electrons to itself.",
            (Bars("Electronegativity", "electronegativity", "Pauling units", "Fluorine"),),
            scanned=True,
        ),
        Page(
            "Halogens: one family, three states of matter",
            """
One column of the periodic table shows gases, a liquid and a solid side by side at room temperature. Fluorine and
chlorine are gases. Bromine is a heavy red-brown liquid, the only non-metal that is liquid under ordinary
conditions. Iodine forms dark crystals that give off violet vapour when warmed.

All four lack a single electron and take it from whatever is at hand, which makes them disinfectants and poisons.
Chlorine cleans swimming pools; iodine was painted on wounds. Fluorine is so reactive that its isolation in 1886 by
Henri Moissan, after several chemists had been hurt in the attempt, won him a Nobel Prize twenty years later.
""",
            (
                Table(
                    "Halogens at a glance",
                    "Halogen",
                    {
                        "At room temperature": "halogen state",
                        "Melts (°C)": "halogen melting point",
                        "Boils (°C)": "halogen boiling point",
                    },
                ),
                Bars("Boiling points of the halogens", "halogen boiling point", "degrees Celsius", "Bromine"),
            ),
        ),
        Page(
            "Who found what, and when",
            """
Gold, copper and iron have no discoverer. The first element with a name and a date attached is phosphorus: Hennig
Brand of Hamburg obtained it in 1669 by boiling down urine in search of gold, and got something that glowed in the
dark.

New tools came in waves. Joseph Priestley and Carl Wilhelm Scheele collected gases over water and mercury; Humphry
Davy split salts with the battery, and had sodium in 1807; the spectroscope and Mendeleev's gaps pointed to gallium
and germanium. Radium, which Marie and Pierre Curie announced in 1898, was found by its radiation before anyone had
seen it.
""",
            (Table("Twelve discoveries", "Element", {"Year": "discovery year", "Discovered by": "discoverer"}),),
        ),
        Page(
            "Half-lives: clocks made of atoms",
            """
A radioactive nucleus does not age. In each half-life, half of those left decay, whatever happened before, and that
makes them clocks. Which clock to choose depends on the time to be measured.

Carbon-14, with 5,700 years, dates wood, bone and linen back to some fifty thousand years; older samples have too
little left. Uranium-238 halves in 4.47 billion years, nearly the age of the Earth, and gave us that age. Iodine-131
is gone within weeks, which suits medicine: a dose treats the thyroid gland and then disappears. Caesium-137, at
thirty years, is the awkward middle case that keeps land contaminated for generations.
""",
            (Table("Half-lives of nine nuclides", "Nuclide", {"Half-life": "half-life"}),),
        ),
        Page(
            "Seven numbers that define the units",
            """
Since 20 May 2019 no metal cylinder in a vault defines the kilogram. All units of the International System now
follow from seven constants, whose values were fixed by decision and have no uncertainty at all. The second counts
9,192,631,770 oscillations of a caesium atom. The metre is how far light travels in a given fraction of that second.

The kilogram follows from the Planck constant by way of the Kibble balance, which compares weight with electric
power. The mole is simply a number, 6.022 140 76 times 10^23 of whatever is counted. The kelvin rests on the Boltzmann
constant and no longer on the triple point of water.
""",
            (
                Table(
                    "Defining constants of the SI, exact",
                    "Constant",
                    {"Value": "constant value", "Unit": "constant unit"},
                ),
            ),
        ),
    ),
)
