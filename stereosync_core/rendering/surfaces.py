"""What the floor and the shoe do to a footstep, as tables of numbers. What they mean in sound: :mod:`.footsteps`. Levels are
energies in dB relative to the other layers of the same surface; the finished step is scaled as a whole. How the numbers were
set stands in docs/footsteps.md."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Modes:
    """Resonances of a solid floor: rows of frequency in Hz, seconds to fall by 60 dB, level in dB."""

    table: tuple[tuple[float, float, float], ...]
    level: float = 0.0


@dataclass(frozen=True)
class Noise:
    """Friction and turbulence: noise in a band, following the load of the foot (or the contacts only, when ``sharp``)."""

    band: tuple[float, float]
    level: float
    sharp: bool = False
    tremble: float = 0.0  # depth of random fluctuation, 0..1
    flutter: float = 60.0  # Hz, of that fluctuation


@dataclass(frozen=True)
class Grains:
    """Many small collisions (P. Cook, "Physically informed sonic modeling (PhISM)", Computer Music Journal 21, 1997)."""

    rate: float  # collisions a second under full load
    band: tuple[float, float]  # Hz of their resonances, evenly spread in octaves
    cycles: float  # periods in which a resonance falls to 1/e
    level: float
    tilt: float = 0.0  # dB an octave above the band's lower edge
    spread: float = 0.8  # of the logarithm of their sizes
    bursts: float = 0.0  # stick-slip events a second that gather the collisions; 0 = they come alone
    glide: float = 0.0  # octaves by which the pitch falls from the first to the last


@dataclass(frozen=True)
class Bubbles:
    """Air bubbles closing under water: sinusoids of rising pitch (M. Minnaert, "On musical air-bubbles and the sounds of
    running water", 1933; rise after K. van den Doel, "Physically based models for liquid sounds", 2005)."""

    count: float
    band: tuple[float, float]  # Hz
    level: float
    rise: float = 0.2  # part by which the pitch rises while the level falls to 1/e


@dataclass(frozen=True)
class Surface:
    """A floor. ``contact``: seconds that a hard heel stays pressed in a hit. ``give``: how much longer than on a solid floor
    the foot sinks in and the load lasts. ``toe``: level of the ball's contact against the heel's, dB. ``thump``: level of the
    low knock of the body's weight, dB, and its frequency in Hz."""

    layers: tuple[Modes | Noise | Grains | Bubbles, ...]
    contact: float = 0.002
    give: float = 1.0
    toe: float = -5.0
    thump: float = -12.0
    thump_frequency: float = 85.0


@dataclass(frozen=True)
class Shoe:
    """Footwear. ``softness``: multiplies the contact time. ``corner``: Hz of the sole's low-pass. ``gap``: seconds from heel to
    ball. ``toe``: dB added to the ball's contact. ``weight``: dB added to the thump. ``scuff``: dB added to noise layers."""

    softness: float
    corner: float
    gap: float
    toe: float
    weight: float
    scuff: float


SHOES: dict[str, Shoe] = {
    "sneaker": Shoe(softness=1.5, corner=5000.0, gap=0.095, toe=0.0, weight=0.0, scuff=0.0),
    "boot": Shoe(softness=1.1, corner=9000.0, gap=0.115, toe=1.5, weight=4.0, scuff=2.0),
    "heel": Shoe(softness=0.35, corner=18000.0, gap=0.075, toe=-5.0, weight=-8.0, scuff=-3.0),
    "barefoot": Shoe(softness=2.6, corner=2500.0, gap=0.085, toe=2.0, weight=1.0, scuff=-4.0),
}

# modes are read as a table, several to a line
# fmt: off
SURFACES: dict[str, Surface] = {
    "concrete": Surface(contact=0.0006, thump=-13.0, layers=(
        Modes((
            (128, 0.050, -6), (196, 0.046, -3), (305, 0.042, 0), (452, 0.036, 0), (690, 0.030, 1),
            (1080, 0.022, 1), (1690, 0.017, 0), (2600, 0.013, -3), (4100, 0.010, -8),
        )),
        Noise((900, 6500), level=-9.0, sharp=True),
        Grains(rate=260, band=(1800, 8000), cycles=2.5, level=-16.0),
        Noise((700, 8000), level=-19.0, tremble=0.3),
    )),
    "wood": Surface(contact=0.0009, toe=-6.0, thump=-24.0, thump_frequency=98.0, layers=(
        Modes((
            (102, 0.12, -5), (148, 0.115, -4), (209, 0.11, 0), (263, 0.105, 0), (338, 0.10, 0), (421, 0.09, 2),
            (534, 0.080, 5), (668, 0.070, 8), (842, 0.060, 9), (1120, 0.045, 8), (1530, 0.030, 2), (2240, 0.02, 0),
        )),
        Noise((1000, 7000), level=-15.0, sharp=True),
        Grains(rate=120, band=(900, 5000), cycles=2.0, level=-21.0),
        Noise((500, 9000), level=-20.0, tremble=0.3),
    )),
    "tile": Surface(contact=0.0004, thump=-17.0, layers=(
        Modes((
            (236, 0.045, -6), (418, 0.048, -4), (742, 0.052, -1), (1235, 0.050, 1), (1870, 0.046, 3),
            (2760, 0.040, 3), (3950, 0.030, 1), (5700, 0.020, -3),
        )),
        Noise((2000, 11000), level=-8.0, sharp=True),
        Grains(rate=200, band=(3000, 10000), cycles=4.0, level=-17.0),
        Noise((1500, 12000), level=-19.0, tremble=0.3),
    )),
    "metal": Surface(contact=0.0009, toe=-2.0, thump=-16.0, thump_frequency=72.0, layers=(
        Modes((
            (79, 0.17, -9), (131, 0.22, -8), (187, 0.26, -6), (251, 0.27, -4), (333, 0.27, -1), (402, 0.27, 0),
            (487, 0.26, 1), (566, 0.24, 1), (671, 0.23, 2), (823, 0.22, 2), (1034, 0.20, 2), (1310, 0.19, 1),
            (1742, 0.17, 0), (2210, 0.15, -1), (2980, 0.12, -4), (4120, 0.10, -8),
            # beneath, what rings on: soft and long
            (294, 0.55, -13), (611, 0.55, -12), (947, 0.50, -13), (1523, 0.45, -13), (2470, 0.4, -14), (3610, 0.3, -15),
        )),
        Noise((400, 5000), level=-13.0, tremble=0.3),
        Grains(rate=180, band=(1200, 7000), cycles=8.0, level=-21.0),
    )),
    "gravel": Surface(contact=0.004, give=1.1, toe=-1.0, thump=-16.0, layers=(
        Grains(rate=2600, band=(2400, 11500), cycles=3.0, level=0.0, spread=1.0),
        Grains(rate=240, band=(500, 2200), cycles=3.0, level=-8.0, spread=1.0),
        Noise((3000, 11000), level=-6.0, tremble=0.7),
    )),
    "grass": Surface(contact=0.008, give=1.9, toe=0.0, thump=-7.0, thump_frequency=62.0, layers=(
        Noise((2200, 9500), level=0.0, tremble=0.5, flutter=35.0),
        Grains(rate=420, band=(2500, 9000), cycles=2.0, level=-6.0, spread=1.1),
        Noise((150, 900), level=-10.0),
    )),
    "snow": Surface(contact=0.008, give=1.6, toe=1.0, thump=-6.0, thump_frequency=62.0, layers=(
        Grains(rate=900, band=(70, 900), cycles=1.6, level=0.0, tilt=-2.0, spread=0.7, bursts=42.0, glide=0.3),
        Grains(rate=2600, band=(700, 9000), cycles=2.0, level=-12.0, tilt=-2.0, spread=0.9, bursts=42.0, glide=0.3),
        Noise((300, 9000), level=-16.0, tremble=0.6),
    )),
    "sand": Surface(contact=0.008, give=1.2, toe=1.0, thump=-30.0, layers=(
        Grains(rate=5200, band=(420, 2600), cycles=2.0, level=0.0, spread=0.5, tilt=-1.0),
        Noise((450, 3000), level=-4.0, tremble=0.4),
        Noise((3000, 9000), level=-16.0, tremble=0.4),
    )),
    "water": Surface(contact=0.006, give=2.0, toe=-1.0, thump=-14.0, thump_frequency=110.0, layers=(
        Noise((350, 3500), level=0.0, tremble=0.6, flutter=45.0),
        Noise((2500, 9000), level=-8.0, tremble=0.8, flutter=70.0),
        Bubbles(count=45, band=(480, 2800), level=-4.0),
    )),
}
# fmt: on


def ground_of(timbre: object) -> str:
    """The surface that a timbre's name is one of; concrete for another class of sounds, and for a timbre without a name."""
    return timbre if isinstance(timbre, str) and timbre in SURFACES else "concrete"
