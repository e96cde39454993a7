"""Independent solvers: matrix exponentials with bisection, DOP853 restarted at events, 50- and 60-digit arithmetic."""

from functools import partial

import mpmath
import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits


def all_patterns(q):
    """Every pattern of q bits, bool `(2^q, q)`."""
    return (np.arange(2**q)[:, None] >> np.arange(q)) & 1 == 1


def map_loop(equation, z0, inputs):
    """Orbit of a map by its equation, one NumPy step at a time."""
    z = [np.asarray(z0, float)]
    for s in inputs:
        z.append(equation(z[-1], s))
    return np.array(z)


def clock_step(region, z, s=None):
    """One clock step from the region's generator alone, auxiliary states 0 at its beginning: (z, auxiliary)."""
    N, n = len(region.h), len(z)
    L = np.zeros((N + 1, N + 1))
    L[:N, :N], L[:N, N] = region.W, region.h if s is None else region.h + region.E @ s
    y = expm(region.dt * L) @ np.concatenate([z, np.zeros(N - n), [1.0]])
    return y[:n], y[n:N]


def exact_step_error(region, M, c):
    """||exp(dt L) - G|| / ||G|| of the raised, augmented generator, in 50-digit arithmetic (Frobenius)."""
    N, n = len(region.h), len(M)
    with mpmath.workdps(50):
        L = mpmath.zeros(N + 1)
        for i in range(N):
            for j in range(N):
                L[i, j] = mpmath.mpf(region.dt) * mpmath.mpf(region.W[i, j])
            L[i, N] = mpmath.mpf(region.dt) * mpmath.mpf(region.h[i])
        X = mpmath.expm(L, method="taylor")
        error, size = mpmath.mpf(0), mpmath.mpf(1)
        for i in range(n):  # what starts at (z, 0, 1) must arrive at (M z + c, 0, 1)
            for j in [*range(n), N]:
                want = mpmath.mpf(float(M[i, j] if j < n else c[i]))
                error, size = error + (X[i, j] - want) ** 2, size + want**2
        for i in range(n, N):
            for j in [*range(n), N]:
                error += X[i, j] ** 2
        return float(mpmath.sqrt(error / size))


class _Piece:
    """The affine flow of one region with a linear input, as exp of one matrix acting on (y, 1, t)."""

    def __init__(self, W, h, E, s, slope):
        N = len(h)
        self.K = np.zeros((N + 2, N + 2))
        self.K[:N, :N], self.K[:N, N], self.K[:N, N + 1] = W, h + E @ s, E @ slope
        self.K[N + 1, N] = 1.0
        self.steps = {}

    def __call__(self, y, tau, since):
        if tau not in self.steps:
            self.steps[tau] = expm(tau * self.K)
            if len(self.steps) > 8:
                self.steps.pop(next(iter(self.steps)))
        return (self.steps[tau] @ np.concatenate([y, [1.0, since]]))[: len(y)]


@threadpool_limits.wrap(limits=1, user_api="blas")  # small matrices: threads only wait for each other
def switched_flow(region, form, z0, times, *, resolution, starts=None, values=None, slopes=None):
    """State-switched flow by matrix exponentials: signs are checked every `resolution`, crossings found by Brent.

    region(pattern) -> (W, h, E), auxiliary states last, entered as 0. Input: values[k] + slopes[k] (t - starts[k]).

    Returns:
        states at `times` (T, n) and the switch times. Crossings closer than `resolution` are missed: compare counts.
    """
    n, m = form.num_states, form.num_inputs
    starts = np.array([times[0]]) if starts is None else np.asarray(starts)
    values = np.zeros((len(starts), m)) if values is None else values
    slopes = np.zeros((len(starts), m)) if slopes is None else slopes
    ends = np.append(starts[1:], np.inf)
    t, piece = times[0], 0
    g = lambda y, at: form.preactivation(y[:n], values[piece] + slopes[piece] * (at - starts[piece]))  # noqa: E731
    bits = g(z0, t) > 0
    flows, out, switches = {}, [np.array(z0)], []

    def enter(y):
        key = (bits.tobytes(), piece)
        if key not in flows:
            flows[key] = region(bits)
        W, h, E = flows[key]
        return _Piece(W, h, E, values[piece], slopes[piece]), np.concatenate([y[:n], np.zeros(len(h) - n)])

    flow, y = enter(np.array(z0))
    for target in times[1:]:
        while t < target:
            tau = min(resolution, target - t, ends[piece] - t)
            since = t - starts[piece]
            new = flow(y, tau, since)
            wrong = np.flatnonzero(np.where(bits, 1.0, -1.0) * g(new, t + tau) < -1e-15)
            if len(wrong):
                found = [_crossing(partial(flow, since=since), g, y, t, tau, i, bits[i]) for i in wrong]
                tau = min(found)
                y = flow(y, tau, since)
                t += tau
                bits = bits.copy()
                for i, at in zip(wrong, found, strict=True):
                    if at <= tau:
                        bits[i] = ~bits[i]
                        switches.append(t)
                flow, y = enter(y)
                if len(switches) > 20 and switches[-1] - switches[-20] < 1e-9:
                    raise RuntimeError("The flow slides or chatters; this reference does not.")
                continue
            y, t = new, t + tau if tau < target - t else target
            if t >= ends[piece]:
                piece += 1
                now, aux = g(y, t) > 0, y[n:]
                switches += [t] * int((now != bits).sum())
                unchanged, bits = bool((now == bits).all()), now
                flow, y = enter(y)
                if unchanged:
                    y[n:] = aux
        out.append(y[:n].copy())
    return np.array(out), np.array(switches)


def _crossing(flow, g, y, t, tau, i, on):
    f = lambda x: g(flow(y, x), t + x)[i]  # noqa: E731
    low = 0.0
    if (f(0.0) > 0) == (f(tau) > 0) or f(0.0) == 0.0:  # it has just switched: begin where it is on its side
        low = tau * 1e-9
        while (f(low) > 0) != on and low < tau:
            low *= 4
        if low >= tau:
            return tau * 1e-9
    return brentq(f, low, tau, xtol=1e-16, rtol=8.9e-16)


def dop853_flow(field, preactivation, z0, times):
    """State-switched flow by SciPy's DOP853 at rtol 1e-13, restarted at every event with the event time refined.

    field(z, bits) and preactivation(z); states at `times`, and the switch times.
    """
    t, z, bits = times[0], np.array(z0, float), preactivation(np.array(z0, float)) > 0
    out, switches, k = np.empty((len(times), len(z))), [], 0
    options = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-14}
    while k < len(times):

        def leaves(at, y, bits=bits):
            return (np.where(bits, 1.0, -1.0) * preactivation(y)).min()

        leaves.terminal, leaves.direction = True, -1
        f = lambda at, y, bits=bits: field(y, bits)  # noqa: E731
        # a short first step takes the unit that has just switched off its boundary before signs are looked at
        r = solve_ivp(
            f, (t, times[-1]), z, events=leaves, first_step=min(1e-6, times[-1] - t), max_step=0.05, **options
        )
        end = r.t[-1]
        if r.status == 1:  # land on the boundary itself: Newton steps on the integrated state
            i = int(np.argmin(np.where(bits, 1.0, -1.0) * preactivation(r.y[:, -1])))
            landed = solve_ivp(f, (t, end), z, **options).y[:, -1]
            for _ in range(3):
                speed = (preactivation(landed + 1e-6 * field(landed, bits))[i] - preactivation(landed)[i]) / 1e-6
                shift = -preactivation(landed)[i] / speed
                landed, end = landed + shift * field(landed, bits), end + shift
        inside = times[k:][times[k:] <= end]
        if len(inside):
            at = np.append(inside, end) if inside[-1] < end else inside
            if len(at) == 1 and at[0] == t:
                out[k] = z
            else:
                out[k : k + len(inside)] = solve_ivp(f, (t, at[-1]), z, t_eval=inside, **options).y.T
        k += len(inside)
        if r.status != 1:
            break
        switches.append(end)
        bits = bits.copy()
        bits[i] = ~bits[i]
        z, t = landed, end
    return out, np.array(switches)


def state_in_digits(W, h, y, t):
    """exp(t W) y + (integral of exp) h in 60 digits: steps of a Taylor series in which the smallest states are resolved too."""
    n = len(y)
    K = np.zeros((n + 1, n + 1))
    K[:n, :n], K[:n, n] = W, h
    rows = [[(j, mpmath.mpf(float(x))) for j, x in enumerate(row) if x != 0.0] for row in K]
    steps = max(1, int(np.ceil(t * min(np.abs(K).sum(axis=1).max(), 100.0) / 4)))
    with mpmath.workdps(60):
        tau, state = mpmath.mpf(float(t)) / steps, [mpmath.mpf(float(x)) for x in [*y, 1.0]]
        for _ in range(steps):
            term, total, k = state, list(state), 0
            while k <= n or max(map(abs, term)) > mpmath.mpf(10) ** -100 * max(map(abs, total)):
                k += 1
                term = [tau / k * sum((x * term[j] for j, x in row), mpmath.mpf(0)) for row in rows]
                total = [a + b for a, b in zip(total, term, strict=True)]
            state = total
        return np.array([float(x) for x in state[:n]])
