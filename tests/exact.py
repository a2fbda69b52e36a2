"""The papers' closed forms in high precision (mpmath), written apart from the package: what the models are held to.

Every function takes plain numbers and answers with an mpmath number. Where a published form is 0/0 (a = 1, s = 1,
gamma = 1) the parameter is moved by 1e-40.
"""

import mpmath as mp


class UnsureError(ArithmeticError):
    """mpmath cannot tell: no test rests on such a point."""


def _hyp2f1(a, b, c, z):
    """₂F₁. mpmath 1.4 ends some series with large parameters too early without a word (1e-7 off, or 1e97 instead of
    16,062): what Pfaff's transformation of the same function does not confirm is refused."""
    with mp.workdps(mp.mp.dps + 10):
        first, second = mp.hyp2f1(a, b, c, z), (1 - z) ** -b * mp.hyp2f1(c - a, b, c, z / (z - 1))
    if not (mp.isfinite(first) and abs(first - second) <= abs(first) * mp.mpf(10) ** (8 - mp.mp.dps)):
        raise UnsureError
    return +first


def _apart(value, from_=1):
    value = mp.mpf(value)
    return value + mp.mpf(10) ** -40 if abs(value - from_) < mp.mpf(10) ** -30 else value


def _rising(z, n):
    return mp.loggamma(z + n) - mp.loggamma(z)


def _log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def _count(n, t, r, alpha):
    """P(N(t) = n), Poisson with a Gamma(r, alpha) rate."""
    return mp.exp(_rising(r, n) - mp.loggamma(n + 1)) * (alpha / (alpha + t)) ** r * (t / (alpha + t)) ** n


def _integral(f, end):
    """∫ f from 0 to `end`, over ln u: in 16 pieces of the part within 1e-20 of the highest point, found on a grid."""
    with mp.workdps(20):
        right = mp.log(end)
        g = lambda z: mp.exp(z) * f(mp.exp(z))  # noqa: E731
        grid = [right - 90 + mp.mpf(k) / 2 for k in range(181)]
        values = [g(z) for z in grid]
        top = max(values)
        inside = [k for k, v in enumerate(values) if v > top * mp.mpf(10) ** -20]
        low, high = grid[max(inside[0] - 1, 0)], grid[min(inside[-1] + 1, 180)]
        return mp.quad(g, [low + (high - low) * k / 16 for k in range(17)], maxdegree=5)


# ---- Pareto/NBD: Fader & Hardie (2005), "A note on deriving the Pareto/NBD model and related expressions"


def pareto(r, alpha, s, beta, x, tx, age):
    """ln L (eq. 18 to 20) and P(alive), by the difference of two ₂F₁."""
    r, alpha, s, beta, x, tx, age = map(mp.mpf, (r, alpha, s, beta, x, tx, age))
    whole = r + s + x
    big, second = (alpha, s + 1) if alpha >= beta else (beta, r + x)

    def part(y):
        return _hyp2f1(whole, second, whole + 1, abs(alpha - beta) / (big + y)) / (big + y) ** whole

    dead = s / whole * (part(tx) - part(age))
    alive = (alpha + age) ** -(r + x) * (beta + age) ** -s
    front = _rising(r, x) + r * mp.log(alpha) + s * mp.log(beta)
    return front + mp.log(alive + dead), alive / (alive + dead)


def _pareto_life(s, b, t):
    """∫₀ᵗ (b/(b + u))^s du."""
    s = _apart(s)
    return b / (s - 1) * (1 - (b / (b + t)) ** (s - 1))


def pareto_expected(r, alpha, s, beta, t):
    """E X(t) of a new customer (eq. 27)."""
    return mp.mpf(r) / alpha * _pareto_life(s, mp.mpf(beta), mp.mpf(t))


def pareto_conditional(r, alpha, s, beta, x, age, t):
    """E of the orders in (T, T + t] of a customer alive at T (eq. 41 without P(alive))."""
    return (mp.mpf(r) + x) / (mp.mpf(alpha) + age) * _pareto_life(s, mp.mpf(beta) + age, mp.mpf(t))


def pareto_count(r, alpha, s, beta, n, t):
    """P(X(t) = n): alive until t, or dead at y < t (eq. 16)."""
    r, alpha, s, beta, t = map(mp.mpf, (r, alpha, s, beta, t))
    death = lambda y: s / (beta + y) * (beta / (beta + y)) ** s * _count(n, y, r, alpha)  # noqa: E731
    return _count(n, t, r, alpha) * (beta / (beta + t)) ** s + _integral(death, t)


def _upper_gamma(a, z):
    try:
        return mp.gammainc(a, z)
    except ValueError as error:  # mpmath gave up: a of thousands below zero
        raise UnsureError from error


def pareto_discounted(r, alpha, s, beta, x, age, delta, horizon=None):
    """DET of a customer alive at T: ∫ e^(−δu) ((β + T)/(β + T + u))^s du by incomplete gamma functions, the form
    behind Ψ(s, s; δ(β + T)) of Fader, Hardie & Lee (2005), "RFM and CLV"."""
    s, b, delta = mp.mpf(s), mp.mpf(beta) + age, mp.mpf(delta)
    beyond = 0 if horizon is None else _upper_gamma(1 - s, delta * (b + horizon))
    life = mp.exp(delta * b) * b**s * delta ** (s - 1) * (_upper_gamma(1 - s, delta * b) - beyond)
    return (mp.mpf(r) + x) / (mp.mpf(alpha) + age) * life


# ---- BG/NBD (first = 0) and MBG/NBD (first = 1): Fader, Hardie & Lee (2005); Batislam et al. (2007)


def beta_geometric(r, alpha, a, b, x, tx, age, first):
    """ln L and P(alive)."""
    r, alpha, a, b, x, tx, age = map(mp.mpf, (r, alpha, a, b, x, tx, age))
    n = x + first
    alive = mp.exp(_log_beta(a, b + n) - _log_beta(a, b)) * (alpha + age) ** -(r + x)
    dead = mp.mpf(0)
    if n > 0:
        dead = mp.exp(_log_beta(a + 1, b + n - 1) - _log_beta(a, b)) * (alpha + tx) ** -(r + x)
    return _rising(r, x) + r * mp.log(alpha) + mp.log(alive + dead), alive / (alive + dead)


def beta_geometric_orders(shape, rate, a, b, t):
    """E of the orders within t of a living customer, λ ~ Gamma(shape, rate), p ~ Beta(a, b) after each."""
    shape, rate, a, b, t = map(mp.mpf, (shape, rate, a, b, t))
    a = _apart(a)
    series = _hyp2f1(shape, b, a + b - 1, t / (rate + t))
    return (a + b - 1) / (a - 1) * (1 - (rate / (rate + t)) ** shape * series)


def beta_geometric_expected(r, alpha, a, b, t, first):
    stays = mp.mpf(b) / (mp.mpf(a) + b) if first else 1
    return stays * beta_geometric_orders(r, alpha, a, mp.mpf(b) + first, t)


def beta_geometric_count(r, alpha, a, b, n, t, first):
    """P(X(t) = n) of a new customer: n orders and still there, or at least n and gone with the n-th."""
    r, alpha, a, b, t = map(mp.mpf, (r, alpha, a, b, t))
    k = n + first
    stays = mp.exp(_log_beta(a, b + k) - _log_beta(a, b))
    found = stays * _count(n, t, r, alpha)
    if k > 0:
        at_least = mp.betainc(n, r, 0, t / (alpha + t), regularized=True) if n > 0 else 1
        found += mp.exp(_log_beta(a + 1, b + k - 1) - _log_beta(a, b)) * at_least
    return found


def beta_geometric_discounted(shape, rate, a, b, delta, horizon=None):
    """∫ e^(−δu) shape/rate ₂F₁(shape + 1, a; a + b; −u/rate) du, the rate of orders of a customer alive now, in the
    form (1 + z)^−(shape + 1) ₂F₁(shape + 1, b; a + b; z/(1 + z)), z = u/rate, whose terms are all positive."""
    shape, rate, a, b, delta = map(mp.mpf, (shape, rate, a, b, delta))
    end = 40 / delta if horizon is None else min(mp.mpf(horizon), 40 / delta)

    def orders(u):
        z = u / rate
        return mp.exp(-delta * u) * (1 + z) ** -(shape + 1) * _hyp2f1(shape + 1, b, a + b, z / (1 + z))

    return shape / rate * _integral(orders, end)


# ---- NBD: Ehrenberg (1959)


def nbd(r, alpha, x, age):
    r, alpha, age = map(mp.mpf, (r, alpha, age))
    return _rising(r, x) + r * mp.log(alpha) - (r + x) * mp.log(alpha + age)


def nbd_count(r, alpha, n, t):
    return _count(n, mp.mpf(t), mp.mpf(r), mp.mpf(alpha))


# ---- BG/BB: Fader, Hardie & Shang (2010)


def bgbb(alpha, beta, gamma, delta, x, tx, n):
    """ln L (eq. 5) and P(alive at n + 1) (eq. 11)."""
    alpha, beta, gamma, delta = map(mp.mpf, (alpha, beta, gamma, delta))
    life = lambda e: mp.exp(_log_beta(alpha + x, beta + e - x) - _log_beta(alpha, beta))  # noqa: E731
    dead = mp.fsum(life(e) * mp.exp(_log_beta(gamma + 1, delta + e) - _log_beta(gamma, delta)) for e in range(tx, n))
    alive = life(n) * mp.exp(_log_beta(gamma, delta + n) - _log_beta(gamma, delta))
    total = alive + dead
    return mp.log(total), alive / total * (delta + n) / (gamma + delta + n)


def bgbb_conditional(alpha, beta, gamma, delta, x, n, t):
    """E of the orders at the next t opportunities of a customer alive at n (eq. 13 without P(alive at n))."""
    alpha, beta, gamma, delta = map(mp.mpf, (alpha, beta, gamma, delta))
    stays = (mp.exp(_log_beta(gamma, delta + n + k) - _log_beta(gamma, delta + n)) for k in range(1, t + 1))
    return (alpha + x) / (alpha + beta + n) * mp.fsum(stays)


def bgbb_count(alpha, beta, gamma, delta, x, t):
    """P(X(t) = x) (eq. 7)."""
    alpha, beta, gamma, delta = map(mp.mpf, (alpha, beta, gamma, delta))
    used = lambda e: mp.binomial(e, x) * mp.exp(_log_beta(alpha + x, beta + e - x) - _log_beta(alpha, beta))  # noqa: E731
    alive = used(t) * mp.exp(_log_beta(gamma, delta + t) - _log_beta(gamma, delta))
    return alive + mp.fsum(
        used(e) * mp.exp(_log_beta(gamma + 1, delta + e) - _log_beta(gamma, delta)) for e in range(x, t)
    )


def bgbb_discounted(alpha, beta, gamma, delta, x, n, rate, horizon=None):
    """DET of a customer alive at n, rate continuous per opportunity (eq. 14, the first opportunity discounted once)."""
    alpha, beta, gamma, delta = map(mp.mpf, (alpha, beta, gamma, delta))
    z = mp.exp(-mp.mpf(rate))
    front = (alpha + x) / (alpha + beta + n)
    if horizon is None:
        first = (delta + n) / (gamma + delta + n) * z
        return front * first * _hyp2f1(1, delta + n + 1, gamma + delta + n + 1, z)
    b = _log_beta(gamma, delta + n)
    return front * mp.fsum(z**k * mp.exp(_log_beta(gamma, delta + n + k) - b) for k in range(1, horizon + 1))


# ---- Gamma-Gamma: Fader & Hardie (2013)


def gamma_gamma(p, q, v, x, z):
    """ln of the density of the mean z of x amounts (eq. 1a)."""
    p, q, v, z = map(mp.mpf, (p, q, v, z))
    found = mp.loggamma(p * x + q) - mp.loggamma(p * x) - mp.loggamma(q) + q * mp.log(v)
    return found + (p * x - 1) * mp.log(z) + p * x * mp.log(x) - (p * x + q) * mp.log(v + x * z)


def gamma_gamma_spend(p, q, v, x, z):
    """E of a customer's mean spend (eq. 5)."""
    p, q, v, z = map(mp.mpf, (p, q, v, z))
    return p * (v + x * z) / (p * x + q - 1)


# ---- renewals: Fader & Hardie (2007, 2010), Fader et al. (2018); c = 1 is the shifted Beta-geometric


def survival(alpha, beta, n, c=1):
    alpha, beta = mp.mpf(alpha), mp.mpf(beta)
    return mp.exp(_log_beta(alpha, beta + mp.mpf(n) ** mp.mpf(c)) - _log_beta(alpha, beta))


def renewals(alpha, beta, m, churned, c=1, seen=0):
    """ln of the chance of m renewals, then churn (or censored), given that `seen` were made."""
    ended = survival(alpha, beta, m, c) - (survival(alpha, beta, m + 1, c) if churned else 0)
    return mp.log(ended / survival(alpha, beta, seen, c))


def derl(alpha, beta, m, d):
    """Discounted expected residual lifetime just before the next decision (Fader & Hardie 2010, eq. 6)."""
    alpha, beta, d = map(mp.mpf, (alpha, beta, d))
    return (beta + m) / (alpha + beta + m) * _hyp2f1(1, beta + m + 1, alpha + beta + m + 1, 1 / (1 + d))


def derl_sum(alpha, beta, m, d, c):
    """The same by its terms until they are nothing (d well above 0)."""
    total, k, now = mp.mpf(0), 1, survival(alpha, beta, m, c)
    v = 1 / (1 + mp.mpf(d))
    while True:
        term = survival(alpha, beta, m + k, c) / now * v ** (k - 1)
        total, k = total + term, k + 1
        if term < total * mp.mpf(10) ** -14 * (1 - v):
            return total
