r"""Radial Dirac equation on a grid: compiled kernels for bound and continuum orbitals.

With the large component ``P`` and the small component ``Q`` (Hartree atomic units, energy ``E``
without the rest mass, ``V`` the potential energy)

    dP/dr = -kappa/r P + [2 c + (E - V)/c] Q
    dQ/dr =  kappa/r Q - [(E - V)/c] P .

A step of the grid multiplies ``(P, Q)`` with the exponential of the fourth-order Magnus series on
two Gauss points (Blanes et al., Phys. Rep. 470 (2009) 151, section 4), whose 2 x 2 exponential has
a closed form. Only modules that compute atoms import this one, because it imports numba.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SQRT3_OVER_12 = np.sqrt(3.0) / 12.0
WKB_SLOPE = 0.01  # the amplitude is read where |d(k^2)/dr| < WKB_SLOPE * k^3


@njit(cache=True)
def _step(p, q, kappa, energy, c, r, rv, dr, direction):
    """One Magnus step; ``r``, ``rv``, ``dr`` hold the two Gauss points of the interval."""
    e1 = energy - rv[0] / r[0]
    e2 = energy - rv[1] / r[1]
    a1 = -kappa / r[0] * dr[0]
    a2 = -kappa / r[1] * dr[1]
    b1 = (2.0 * c + e1 / c) * dr[0]
    b2 = (2.0 * c + e2 / c) * dr[1]
    g1 = -e1 / c * dr[0]
    g2 = -e2 / c * dr[1]
    a = 0.5 * (a1 + a2) + SQRT3_OVER_12 * (b2 * g1 - b1 * g2)
    b = 0.5 * (b1 + b2) + SQRT3_OVER_12 * 2.0 * (a2 * b1 - a1 * b2)
    g = 0.5 * (g1 + g2) + SQRT3_OVER_12 * 2.0 * (g2 * a1 - g1 * a2)
    square = a * a + b * g
    if square > 1e-12:
        s = np.sqrt(square)
        even, odd = np.cosh(s), np.sinh(s) / s
    elif square < -1e-12:
        s = np.sqrt(-square)
        even, odd = np.cos(s), np.sin(s) / s
    else:
        even, odd = 1.0 + 0.5 * square, 1.0 + square / 6.0
    odd *= direction
    return (even + odd * a) * p + odd * b * q, odd * g * p + (even - odd * a) * q


@njit(cache=True)
def _regular_start(kappa, energy, c, r, rv):
    """Direction of (P, Q) that grows like r^s: an eigenvector of r times the Dirac matrix."""
    e = energy - rv / r
    a = r * (2.0 * c + e / c)
    b = r * e / c
    s = np.sqrt(max(kappa * kappa - a * b, 0.01))
    if kappa > 0:
        return a / (s + kappa), 1.0
    return 1.0, -b / (s - kappa)


@njit(cache=True)
def start_index(kappa, r):
    """First grid point of an outward integration: where r^l is about 1e-40, at least the first."""
    momentum = kappa if kappa > 0 else -kappa - 1
    if momentum < 7:
        return 0
    radius = 10.0 ** (-40.0 / momentum)
    i = 0
    while r[i] < radius:
        i += 1
    return i


@njit(cache=True)
def _outward(kappa, energy, c, grid, rv, last, p, q):
    """Fill ``p`` and ``q`` from the nucleus to ``last``; return the number of nodes of ``p``."""
    r, gauss_r, gauss_rv, gauss_dr = grid
    first = start_index(kappa, r)
    p[:first] = 0.0
    q[:first] = 0.0
    u, v = _regular_start(kappa, energy, c, r[first], rv[first])
    p[first], q[first] = u, v
    nodes = 0
    for i in range(first, last):
        new_u, v = _step(u, v, kappa, energy, c, gauss_r[i], gauss_rv[i], gauss_dr[i], 1.0)
        if new_u * u < 0.0:
            nodes += 1
        u = new_u
        p[i + 1], q[i + 1] = u, v
    return nodes


@njit(cache=True)
def _inward(kappa, energy, c, grid, rv, first, last, p, q):
    """Fill ``p`` and ``q`` from ``last`` down to ``first`` with the decaying solution."""
    r, gauss_r, gauss_rv, gauss_dr = grid
    e = energy - rv[last] / r[last]
    a = r[last] * (2.0 * c + e / c)
    s = np.sqrt(max(kappa * kappa - a * r[last] * e / c, 0.01))
    u, v = 1e-30, 1e-30 * (kappa - s) / a
    p[last], q[last] = u, v
    for i in range(last - 1, first - 1, -1):
        u, v = _step(u, v, kappa, energy, c, gauss_r[i], gauss_rv[i], gauss_dr[i], -1.0)
        p[i], q[i] = u, v


@njit(cache=True)
def _limits(kappa, energy, r, rv, count):
    """Index of the outer turning point, and of the point 36 decay lengths beyond it."""
    centrifugal = 0.5 * kappa * (kappa + 1)
    turning = count - 1
    while turning > 10 and rv[turning] / r[turning] + centrifugal / r[turning] ** 2 > energy:
        turning -= 1
    turning = min(turning, count - 12)
    decay = 0.0
    last = turning
    while last < count - 1 and decay < 36.0:
        barrier = rv[last] / r[last] + centrifugal / r[last] ** 2 - energy
        decay += np.sqrt(2.0 * max(barrier, 0.0)) * (r[last + 1] - r[last])
        last += 1
    return turning, last


@njit(cache=True)
def bound_orbital(kappa, nodes, energy, c, grid, rv, weight, count):
    """Bound orbital with ``nodes`` nodes in P by shooting; returns (energy, P, Q, converged).

    ``weight`` is dr per grid point, ``count`` the number of grid points to use; the orbital is
    normalised to one. ``energy`` is the first guess [hartree].
    """
    r = grid[0]
    p = np.zeros(r.size)
    q = np.zeros(r.size)
    low = 1.2 * np.min(rv[:count]) ** 2 * -0.6 - 1.0
    high = -1e-7
    for _ in range(200):
        turning, last = _limits(kappa, energy, r, rv, count)
        p[:] = 0.0
        q[:] = 0.0
        found = _outward(kappa, energy, c, grid, rv, turning, p, q)
        if found != nodes:
            if found > nodes:
                high = energy
            else:
                low = energy
            energy = 0.5 * (low + high)
            if high - low < 1e-13 * abs(low):
                break
            continue
        p_out, q_out = p[turning], q[turning]
        _inward(kappa, energy, c, grid, rv, turning, last, p, q)
        scale = p_out / p[turning]
        p[turning:] *= scale
        q[turning:] *= scale
        norm = 0.0
        for i in range(last + 1):
            norm += (p[i] * p[i] + q[i] * q[i]) * weight[i]
        shift = c * p_out * (q_out - q[turning]) / norm
        if shift > 0.0:
            low = energy
        else:
            high = energy
        if abs(shift) < 1e-10 * abs(energy) + 1e-12:
            return energy + shift, p / np.sqrt(norm), q / np.sqrt(norm), True
        trial = energy + shift
        energy = trial if low < trial < high else 0.5 * (low + high)
    return energy, p, q, False


@njit(cache=True)
def _amplitude(kappa, energy, c, r, charge, p, q):
    """Square of the energy-normalisation amplitude, or -1 where the WKB form does not hold yet.

    For u = P / sqrt(a), a = 2c + (E - V)/c: u'' + w u = 0, and u = A zeta^(-1/2) sin(phi) with
    zeta^2 = w - w''/(4 w) + 5 w'^2 / (16 w^2). The potential is -charge/r there.
    """
    e = energy + charge / r
    slope = -charge / r**2
    big_l = kappa * (kappa + 1.0)
    w = 2.0 * e + (e / c) ** 2 - big_l / r**2
    if w <= 0.0:
        return -1.0
    factor = 2.0 + 2.0 * e / c**2
    w1 = factor * slope + 2.0 * big_l / r**3
    if abs(w1) > WKB_SLOPE * w**1.5:
        return -1.0
    return _amplitude_anyway(kappa, c, r, p, q, e, slope, charge, w, w1)


@njit(cache=True)
def _amplitude_anyway(kappa, c, r, p, q, e, slope, charge, w, w1):
    big_l = kappa * (kappa + 1.0)
    factor = 2.0 + 2.0 * e / c**2
    w2 = factor * 2.0 * charge / r**3 + 2.0 * (slope / c) ** 2 - 6.0 * big_l / r**4
    zeta = np.sqrt(max(w - w2 / (4.0 * w) + 5.0 * w1**2 / (16.0 * w**2), 0.1 * w))
    a = 2.0 * c + e / c
    u = p / np.sqrt(a)
    du = (-kappa / r * p + a * q) / np.sqrt(a)
    return zeta * u**2 + (du + w1 / (4.0 * w) * u) ** 2 / zeta


@njit(cache=True)
def continuum_orbitals(kappa, energies, c, grid, rv, keep, tail, charge):
    """Energy-normalised continuum orbitals P, Q (n_energies, keep), energies in hartree.

    Only the first ``keep`` grid points, where the core orbitals live, are returned; the integration
    goes on from ``tail`` (where the potential is -charge/r) until the WKB amplitude can be read:
    P -> sqrt((E + 2 c^2) / (pi c^2 zeta)) sin(phi). An orbital still below its centrifugal barrier
    at the end of the grid does not reach the core and is set to zero.
    """
    r, gauss_r, gauss_rv, gauss_dr = grid
    big_p = np.zeros((energies.size, keep))
    big_q = np.zeros((energies.size, keep))
    first = start_index(kappa, r)
    for n in range(energies.size):
        energy = energies[n]
        u, v = _regular_start(kappa, energy, c, r[first], rv[first])
        square = -1.0
        for i in range(first, r.size - 1):
            if i < keep:
                big_p[n, i], big_q[n, i] = u, v
            if i >= tail and i >= keep - 1:
                square = _amplitude(kappa, energy, c, r[i], charge, u, v)
                if square > 0.0:
                    break
            u, v = _step(u, v, kappa, energy, c, gauss_r[i], gauss_rv[i], gauss_dr[i], 1.0)
        if square <= 0.0:
            square = _end_amplitude(kappa, energy, c, r[-1], charge, u, v)
        scale = 1.0 / np.sqrt(np.pi * c * square) if square > 0.0 else 0.0
        big_p[n] *= scale
        big_q[n] *= scale
    return big_p, big_q


@njit(cache=True)
def _end_amplitude(kappa, energy, c, r, charge, p, q):
    """The amplitude at the end of the grid, where the slope criterion is not met; -1 if bound."""
    e = energy + charge / r
    slope = -charge / r**2
    w = 2.0 * e + (e / c) ** 2 - kappa * (kappa + 1.0) / r**2
    if w <= 0.0:
        return -1.0
    w1 = (2.0 + 2.0 * e / c**2) * slope + 2.0 * kappa * (kappa + 1.0) / r**3
    return _amplitude_anyway(kappa, c, r, p, q, e, slope, charge, w, w1)
