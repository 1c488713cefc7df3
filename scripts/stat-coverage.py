#!/usr/bin/env python3
"""How often intervals of a percentile over several runs hold its true value: Student's t on the logarithms of the runs'
percentiles, beside the two-level bootstrap (runs, then circular blocks of seconds within each). Prints a table.

    pip install numpy scipy
    scripts/stat-coverage.py [EXPERIMENTS]

Each run has a level of its own, its seconds depend on each other (first autocorrelation 0.6), and its requests have
log-normal times. Each interval is held against what it estimates: t against the geometric mean of the runs' percentile,
the bootstrap against the percentile of all requests together.
"""

import sys

import numpy as np
from scipy import stats

EXPERIMENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
DRAWS, SECONDS, REQUESTS, SPREAD, RHO, BLOCK = 500, 30, 1000, 0.5, 0.6, 5
GRID = np.linspace(-3.5, 5.5, 601)
CENTRES = (GRID[1:] + GRID[:-1]) / 2
random = np.random.default_rng(20261128)


def draw(runs, between, within):
    """Histograms of requests on the log scale: runs, seconds, bins."""
    level = between * random.standard_normal((runs, 1))
    second = np.empty((runs, SECONDS))
    second[:, 0] = random.standard_normal(runs)
    for t in range(1, SECONDS):
        second[:, t] = RHO * second[:, t - 1] + np.sqrt(1 - RHO**2) * random.standard_normal(runs)
    mean = level + within * second
    share = np.diff(stats.norm.cdf((GRID[None, None, :] - mean[:, :, None]) / SPREAD), axis=2)
    return random.poisson(REQUESTS * share).astype(np.float32)


def quantile(histogram, q):
    """The logarithm of the quantile of each histogram."""
    sums = histogram.cumsum(axis=-1)
    return CENTRES[np.minimum((sums < q * sums[..., -1:]).sum(axis=-1), len(CENTRES) - 1)]


def bootstrap(histograms, q):
    """Quantiles of all requests together, over draws of runs and of circular blocks of seconds within each."""
    runs = len(histograms)
    weights = np.zeros((DRAWS, runs * SECONDS), np.float32)
    chosen = random.integers(runs, size=(DRAWS, runs, 1, 1))
    starts = random.integers(SECONDS, size=(DRAWS, runs, SECONDS // BLOCK, 1))
    places = chosen * SECONDS + (starts + np.arange(BLOCK)) % SECONDS
    np.add.at(weights, (np.arange(DRAWS)[:, None], places.reshape(DRAWS, -1)), 1)
    return quantile(weights @ histograms.reshape(runs * SECONDS, -1), q)


print(f"{EXPERIMENTS} experiments, {DRAWS} draws, 95 % intervals")
print("runs  between  within  quantile  t on logs  basic bootstrap  percentile bootstrap")
for between, within in [(0.05, 0.1), (0.02, 0.3)]:
    for q in [0.5, 0.99]:
        many = draw(3000, between, within)
        each, together = quantile(many.sum(axis=1), q).mean(), quantile(many.sum(axis=(0, 1)), q)
        for runs in [3, 5, 10, 20]:
            held = np.zeros(3)
            for _ in range(EXPERIMENTS):
                histograms = draw(runs, between, within)
                logs = quantile(histograms.sum(axis=1), q)
                half = stats.t.ppf(0.975, runs - 1) * logs.std(ddof=1) / np.sqrt(runs)
                estimate = quantile(histograms.sum(axis=(0, 1)), q)
                lower, upper = np.quantile(bootstrap(histograms, q), [0.025, 0.975])
                held += [abs(logs.mean() - each) <= half,
                         2 * estimate - upper <= together <= 2 * estimate - lower,
                         lower <= together <= upper]
            t, basic, percentile = 100 * held / EXPERIMENTS
            print(f"{runs:4}  {between:7}  {within:6}  {q:8}  {t:7.1f} %  {basic:13.1f} %  {percentile:18.1f} %", flush=True)
