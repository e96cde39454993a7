"""Maps and flows of the literature, written once for NumPy (complex numbers too) and jax.numpy, with a plain loop for exponents.

Source: Sprott, Chaos and Time-Series Analysis, appendix A; Gilpin's collection dysts. Each entry: equation(xp, *state), start,
length (steps of a map, model time of a flow).
"""

import numpy as np
from scipy.integrate import solve_ivp


def absolute(xp, x):
    """|x|, continued to complex numbers on either side of 0."""
    return xp.where(x.real < 0, -x, x)


def modulo(xp, x, period):
    """x less the whole periods in it."""
    return x - period * xp.floor(x.real / period)


def ikeda(xp, x, y):
    p = 0.4 - 6.0 / (1.0 + x * x + y * y)
    return 1.0 + 0.9 * (x * xp.cos(p) - y * xp.sin(p)), 0.9 * (x * xp.sin(p) + y * xp.cos(p))


def dissipative_standard(xp, x, y):
    y = modulo(xp, 0.6 * y + 8.8 * xp.sin(x), 2 * np.pi)
    return modulo(xp, x + y, 2 * np.pi), y


def chirikov(xp, x, y):
    y = modulo(xp, y + xp.sin(x), 2 * np.pi)
    return modulo(xp, x + y, 2 * np.pi), y


def area_preserving_henon(xp, x, y):
    c, s = 0.24, np.sqrt(1 - 0.24**2)
    return x * c - (y - x * x) * s, x * s + (y - x * x) * c


MAPS = {
    "logistic": (lambda xp, x: (4.0 * x * (1 - x),), [0.1], 40_000),
    "sine": (lambda xp, x: (xp.sin(np.pi * x),), [0.1], 40_000),
    "cubic": (lambda xp, x: (3.0 * x * (1 - x * x),), [0.1], 40_000),
    "ricker": (lambda xp, x: (20.0 * x * xp.exp(-x),), [0.1], 40_000),
    "cusp": (lambda xp, x: (1 - 1.999 * xp.sqrt(absolute(xp, x)),), [0.5], 40_000),
    "pinchers": (lambda xp, x: (absolute(xp, xp.tanh(2.0 * (x - 0.5))),), [0.0], 40_000),
    "sine-circle": (lambda xp, x: (modulo(xp, x + 0.5 - xp.sin(2 * np.pi * x) / np.pi, 1.0),), [0.1], 40_000),
    "henon": (lambda xp, x, y: (1 - 1.4 * x * x + 0.3 * y, x), [0.0, 0.9], 40_000),
    "lozi": (lambda xp, x, y: (1 - 1.7 * absolute(xp, x) + 0.5 * y, x), [-0.1, 0.1], 40_000),
    "delayed logistic": (lambda xp, x, y: (2.27 * x * (1 - y), x), [0.1, 0.1], 40_000),
    "tinkerbell": (lambda xp, x, y: (x * x - y * y + 0.9 * x - 0.6 * y, 2 * x * y + 2 * x + 0.5 * y), [0.0, 0.5], 40_000),
    "burgers": (lambda xp, x, y: (0.75 * x - y * y, 1.75 * y + x * y), [-0.1, 0.1], 40_000),
    "holmes cubic": (lambda xp, x, y: (y, -0.2 * x + 2.77 * y - y**3), [1.6, 0.0], 40_000),
    "dissipative standard": (dissipative_standard, [0.1, 0.1], 40_000),
    "ikeda": (ikeda, [1.0, 0.0], 40_000),
    "sinai": (
        lambda xp, x, y: (modulo(xp, x + y + 0.1 * xp.cos(2 * np.pi * y), 1.0), modulo(xp, x + 2 * y, 1.0)), [0.5, 0.3], 40_000,
    ),
    "predator-prey": (
        lambda xp, x, y: (x * xp.exp(3.0 * (1 - x) - 5.0 * y), x * (1 - xp.exp(-5.0 * y))), [0.5, 0.5], 40_000,
    ),
    "chirikov": (chirikov, [0.1, 6.0], 40_000),
    "cat": (lambda xp, x, y: (modulo(xp, x + y, 1.0), modulo(xp, x + 2 * y, 1.0)), [0.1234, 0.71], 40_000),
    "gingerbreadman": (lambda xp, x, y: (1 + absolute(xp, x) - y, x), [0.5, 3.7], 40_000),
    "area-preserving henon": (area_preserving_henon, [0.6, 0.13], 40_000),
}  # fmt: skip


def chua(xp, x, y, w):
    a = absolute(xp, x + 1.0) - absolute(xp, x - 1.0)
    return 9.0 * (y - x + 5 / 7 * x + 3 / 14 * a), x - y + w, -100 / 7 * y


def rabinovich_fabrikant(xp, x, y, w):
    return y * (w - 1 + x * x) + 0.87 * x, x * (3 * w + 1 - x * x) + 0.87 * y, -2 * w * (1.1 + x * y)


def aizawa(xp, x, y, w):
    last = 0.6 + 0.95 * w - w**3 / 3 - (x * x + y * y) * (1 + 0.25 * w) + 0.1 * w * x**3
    return (w - 0.7) * x - 3.5 * y, 3.5 * x + (w - 0.7) * y, last


FLOWS = {  # the first 13 from Sprott's tables
    "lorenz": (lambda xp, x, y, w: (10.0 * (y - x), x * (28.0 - w) - y, x * y - 8 / 3 * w), [1.0, 1.0, 25.0], 300.0),
    "roessler": (lambda xp, x, y, w: (-y - w, x + 0.2 * y, 0.2 + w * (x - 5.7)), [-9.0, 0.0, 0.0], 600.0),
    "pendulum": (lambda xp, x, y, p: (y, -0.05 * y - xp.sin(x) + 0.6 * xp.sin(p), 0 * p + 0.7), [0.0, 0.0, 0.0], 600.0),
    "ueda": (lambda xp, x, y, p: (y, -(x**3) - 0.05 * y + 7.5 * xp.sin(p), 0 * p + 1.0), [2.5, 0.0, 0.0], 400.0),
    "duffing": (lambda xp, x, y, p: (y, x - x**3 - 0.25 * y + 0.4 * xp.sin(p), 0 * p + 1.0), [0.2, 0.0, 0.0], 600.0),
    "van der pol": (
        lambda xp, x, y, p: (y, -x + 3.0 * (1 - x * x) * y + 5.0 * xp.sin(p), 0 * p + 1.788), [-1.9, 0.0, 0.0], 300.0,
    ),
    "chua": (chua, [0.0, 0.0, 0.6], 150.0),
    "rabinovich-fabrikant": (rabinovich_fabrikant, [-1.0, 0.0, 0.5], 300.0),
    "thomas": (
        lambda xp, x, y, w: (-0.18 * x + xp.sin(y), -0.18 * y + xp.sin(w), -0.18 * w + xp.sin(x)), [0.1, 0.0, 0.2], 1500.0,
    ),
    "moore-spiegel": (lambda xp, x, y, w: (y, w, -w + (14.0 - 20.0 * x * x) * y - 6.0 * x), [0.1, 0.0, 0.0], 400.0),
    "halvorsen": (
        lambda xp, x, y, w: (-1.27 * x - 4 * y - 4 * w - y * y, -1.27 * y - 4 * w - 4 * x - w * w, -1.27 * w - 4 * x - 4 * y - x * x),
        [-5.0, 0.0, 0.0], 150.0,
    ),
    "simplest jerk": (lambda xp, x, y, w: (y, w, -2.017 * w + y * y - x), [-0.9, 0.0, 0.5], 800.0),
    "nose-hoover": (lambda xp, x, y, w: (y, -x + y * w, 1 - y * y), [0.0, 5.0, 0.0], 1500.0),
    "aizawa": (aizawa, [0.1, 0.0, 0.0], 500.0),
    "arneodo": (lambda xp, x, y, w: (y, w, 5.5 * x - 4.5 * y - w - x**3), [0.2, 0.2, -0.75], 2000.0),
    "burke-shaw": (lambda xp, x, y, w: (-10 * (x + y), -y - 10 * x * w, 10 * x * y + 4.272), [0.6, 0.0, 0.0], 100.0),
    "chen": (lambda xp, x, y, w: (35 * (y - x), -7 * x - x * w + 28 * y, x * y - 3 * w), [-10.0, 0.0, 37.0], 60.0),
    "chen-lee": (lambda xp, x, y, w: (5 * x - y * w, -10 * y + x * w, -0.38 * w + x * y / 3), [0.2, 7.0, 0.0], 150.0),
    "sprott g": (lambda xp, x, y, w: (0.4 * x + w, x * w - y, -x + y), [0.05, 0.05, 0.05], 800.0),
    "dadras": (lambda xp, x, y, w: (y - 3 * x + 2.7 * y * w, 1.7 * y - x * w + w, 2 * x * y - 9 * w), [1.1, 2.1, -1.0], 150.0),
    "finance": (lambda xp, x, y, w: ((5 - 0.001) * x + w + x * y, -0.2 * y - x * x, -x - 1.1 * w), [0.1, 0.2, 0.3], 400.0),
    "genesio-tesi": (lambda xp, x, y, w: (y, w, -x - 1.1 * y - 0.44 * w + x * x), [-0.1, 0.05, -0.02], 800.0),
    "hadley": (
        lambda xp, x, y, w: (-y * y - w * w - 0.25 * x + 2.0, x * y - 4 * x * w - y + 1.0, 4 * x * y + x * w - w), [0.0, 0.0, 1.3], 300.0,
    ),
    "hindmarsh-rose": (
        lambda xp, x, y, w: (y - x**3 + 3 * x * x - w + 3.2, 1 - 5 * x * x - y, 0.006 * (4 * (x + 1.6) - w)), [-1.0, 0.0, 2.8], 2000.0,
    ),
    "hyperchaotic roessler": (
        lambda xp, x, y, w, v: (-y - w, x + 0.25 * y + v, 3 + x * w, -0.5 * w + 0.05 * v), [-20.0, 0.0, 0.0, 15.0], 600.0,
    ),
    "lu": (lambda xp, x, y, w: (36 * (y - x), -x * w + 20 * y, x * y - 3 * w), [0.1, 0.3, -0.6], 100.0),
    "newton-leipnik": (
        lambda xp, x, y, w: (-0.4 * x + y + 10 * y * w, -x - 0.4 * y + 5 * x * w, 0.175 * w - 5 * x * y), [0.35, 0.0, -0.16], 600.0,
    ),
    "rikitake": (lambda xp, x, y, w: (-x + w * y, -y + x * (w - 1), 1 - x * y), [-1.4, -1.0, 1.2], 800.0),
    "rucklidge": (lambda xp, x, y, w: (-2 * x + 6.7 * y - y * w, x, -w + y * y), [1.0, 0.0, 4.5], 400.0),
    "shimizu-morioka": (lambda xp, x, y, w: (y, x - 0.85 * y - x * w, -0.5 * w + x * x), [0.1, 0.1, 0.2], 800.0),
    "sprott b": (lambda xp, x, y, w: (y * w, x - y, 1 - x * y), [0.05, 0.05, 0.05], 600.0),
    "sprott d": (lambda xp, x, y, w: (-y, x + w, x * w + 3 * y * y), [0.05, 0.05, 0.05], 600.0),
    "windmi": (lambda xp, x, y, w: (y, w, -0.7 * w - y + 2.5 - xp.exp(x)), [0.0, 0.8, 0.0], 800.0),
}  # fmt: skip

STEP = 1e-30  # of complex numbers: derivatives are exact to rounding


def turned(equation, z, V):
    """F(z) `(n, R)` and F'(z) V `(n, p, R)` of R orbits, by a complex step along each vector."""
    F = np.array(equation(np, *(z[:, None] + 1j * STEP * V)))
    return F.real[:, 0], F.imag / STEP


def orthonormal(V):
    """Orthonormal vectors `(n, p, R)` and logarithms of |r_jj| `(p, R)`, by NumPy's QR."""
    Q, R = np.linalg.qr(V.transpose(2, 0, 1))
    return Q.transpose(1, 2, 0), np.log(np.abs(np.diagonal(R, axis1=1, axis2=2))).T


def _vectors(n, count):
    """Orthonormal vectors `(n, n, count)`."""
    return np.linalg.qr(np.random.default_rng(1).normal(size=(count, n, n)))[0].transpose(1, 2, 0)


def _apart(states):
    """States `(n, count)` of one orbit as starts of others: moved a little, so that these are not parts of each other for long."""
    return states * (1.0 - 1e-4 * np.random.default_rng(2).uniform(0, 1, states.shape))


def map_exponents(equation, start, steps, count, skipped=500):
    """Exponents `(count, n)` along orbits from `count` starts on the attractor: QR after every step."""
    z, seen = np.array(start)[:, None], []
    for _ in range(skipped + 37 * count):
        z = np.array(equation(np, *z))
        seen.append(z[:, 0])
    z, V, total = _apart(np.array(seen[skipped::37]).T), _vectors(len(z), count), 0.0
    for k in range(-skipped, steps):
        z, V = turned(equation, z, V)
        V, logs = orthonormal(V)
        total = total + logs if k >= 0 else 0.0
    return (total / steps).T


def flow_exponents(equation, start, length, count, skipped, interval):
    """Exponents `(count, n)` along orbits from `count` starts on the attractor: DOP853 on state and vectors, QR after intervals."""
    n, options, total = len(start), {"method": "DOP853", "rtol": 1e-7, "atol": 1e-9}, 0.0
    at = np.linspace(skipped, skipped + length, count)
    seen = solve_ivp(lambda _, y: np.array(equation(np, *y)), (0.0, at[-1]), start, t_eval=at, **options).y

    def rates(_, y):
        y = y.reshape(1 + n, n, count)
        dz, dV = turned(equation, y[0], y[1:].transpose(1, 0, 2))
        return np.concatenate([dz[None], dV.transpose(1, 0, 2)]).ravel()

    z, V = _apart(seen), _vectors(n, count)
    before, after = int(np.ceil(skipped / interval)), int(np.ceil(length / interval))
    for k in range(-before, after):
        y = np.concatenate([z[None], V.transpose(1, 0, 2)]).ravel()
        y = solve_ivp(rates, (0.0, interval), y, **options).y[:, -1].reshape(1 + n, n, count)
        z = y[0]
        V, logs = orthonormal(y[1:].transpose(1, 0, 2))
        total = total + logs if k >= 0 else 0.0
    return (total / (after * interval)).T
