#!/usr/bin/env python3
"""Writes bench-harness/tests/fixtures/statistics.json: what R, scipy, statsmodels and pymannkendall say.

    pip install scipy statsmodels pymannkendall
    apt-get install r-cran-mcmc r-cran-hmisc        # autocorrelation times and Harrell-Davis by R
    scripts/stat-fixtures.py

The inputs come from a fixed seed, so the file changes only when a formula or a library does. The tests that read it
(bench-harness/tests/statistics.rs) need none of these.
"""

import json
import os
import subprocess

import numpy as np
import pymannkendall
import scipy
import statsmodels
from scipy import optimize, special, stats
from scipy.stats import mstats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttost_ind

OUT = os.path.join(os.path.dirname(__file__), "..", "bench-harness", "tests", "fixtures", "statistics.json")
random = np.random.default_rng(20261128)


def rounded(values, digits=6):
    return [round(float(v), digits) for v in values]


def by_r(program, series):
    """What `program` prints when `x` is the series."""
    code = "options(digits = 15)\nx <- c(" + ",".join(repr(v) for v in series) + ")\n" + program
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def ratios():
    cases = []
    for n, m, spread in [(3, 3, 0.01), (5, 5, 0.02), (5, 8, 0.05), (10, 10, 0.003), (20, 6, 0.1)]:
        a = rounded(1e5 * np.exp(spread * random.standard_normal(n)))
        b = rounded(1.01e5 * np.exp(2 * spread * random.standard_normal(m)))
        x, y = np.log(b), np.log(a)
        welch = CompareMeans(DescrStatsW(x), DescrStatsW(y))
        interval = welch.tconfint_diff(alpha=0.05, usevar="unequal")
        margin = np.log(1.02)
        case = {
            "a": a,
            "b": b,
            "margin": 0.02,
            "unpaired": {
                "estimate": np.exp(x.mean() - y.mean()),
                "lower": np.exp(interval[0]),
                "upper": np.exp(interval[1]),
                "p": stats.ttest_ind(x, y, equal_var=False).pvalue,
                "equivalence": ttost_ind(x, y, -margin, margin, usevar="unequal")[0],
            },
        }
        if n == m:
            d = x - y
            lower, upper = stats.t.interval(0.95, n - 1, loc=d.mean(), scale=stats.sem(d))
            low = stats.ttest_1samp(d, -margin, alternative="greater").pvalue
            high = stats.ttest_1samp(d, margin, alternative="less").pvalue
            flips = stats.permutation_test(
                (d,), lambda v, axis: np.abs(np.sum(v, axis=axis)), permutation_type="samples",
                n_resamples=np.inf, alternative="greater", vectorized=True) if n <= 10 else None
            case["paired"] = {
                "estimate": np.exp(d.mean()),
                "lower": np.exp(lower),
                "upper": np.exp(upper),
                "p": stats.ttest_1samp(d, 0).pvalue,
                "equivalence": max(low, high),
                "sign_flip": flips.pvalue if flips else None,
            }
        cases.append(case)
    return cases


def relabellings():
    cases = []
    for n, m in [(3, 3), (4, 4), (5, 5), (3, 6)]:
        a, b = rounded(random.normal(100, 2, n)), rounded(random.normal(103, 2, m))
        found = stats.permutation_test(
            (a, b), lambda x, y, axis: np.abs(np.mean(x, axis=axis) - np.mean(y, axis=axis)),
            n_resamples=np.inf, alternative="greater", vectorized=True)
        cases.append({"a": a, "b": b, "p": found.pvalue})
    return cases


def modes():
    """The best split by trying all, and what one normal mode reaches in one of a hundred samples."""
    cases = []
    for n in [5, 7, 10, 20]:
        runs = rounded(np.concatenate([random.normal(1000, 8, n // 2 + 1), random.normal(1150, 8, n - n // 2 - 1)]))
        runs = list(random.permutation(runs))
        logs = np.sort(np.log(runs))
        ratio, split = max((logs.var() * n / (logs[:k].var() * k + logs[k:].var() * (n - k)) - 1, k) for k in range(1, n))
        cases.append({"runs": runs, "ratio": ratio, "low": np.exp(logs[:split].mean()), "high": np.exp(logs[split:].mean()),
                      "low_count": split})
    limits = {}
    for n in [5, 7, 10, 20, 40]:
        samples = np.sort(random.standard_normal((100000, n)), axis=1)
        best = np.max([samples.var(axis=1) * n
                       / (samples[:, :k].var(axis=1) * k + samples[:, k:].var(axis=1) * (n - k)) for k in range(1, n)], axis=0)
        limits[str(n)] = round(float(np.quantile(np.log(best), 0.99)), 3)
    return {"cases": cases, "limits": limits}


def ar1(n, phi, mean=100.0, scale=5.0):
    noise = random.standard_normal(n)
    x = np.empty(n)
    x[0] = noise[0] / np.sqrt(1 - phi * phi)
    for i in range(1, n):
        x[i] = phi * x[i - 1] + noise[i]
    return mean + scale * x


def series():
    cases = []
    shapes = [("white", ar1(120, 0.0)), ("ar 0.5", ar1(150, 0.5)), ("ar 0.9", ar1(300, 0.9)),
              ("negative", ar1(100, -0.4)),
              ("warm-up", ar1(150, 0.2) - 60 * np.exp(-np.arange(150) / 12.0)),
              ("rising", ar1(100, 0.3) + 0.3 * np.arange(100)),
              ("ties", np.round(ar1(90, 0.4) / 5) * 5)]
    for name, values in shapes:
        x = rounded(values, 4)
        var_dec = by_r('suppressMessages(library(mcmc)); s <- initseq(x); cat(s$var.dec / s$gamma0)', x)[0]
        batches = np.array(x[: len(x) // 5 * 5]).reshape(-1, 5).mean(axis=1)
        m = len(batches)
        # The squared standard error of what remains, with the population variance: var(kept) / kept.
        statistic = [batches[d:].var() / (m - d) for d in range(0, m - 4)]
        plain, modified = pymannkendall.original_test(x), pymannkendall.hamed_rao_modification_test(x)
        cases.append({
            "name": name,
            "values": x,
            "autocorrelation_time": var_dec,
            "mser5": int(np.argmin(statistic)) * 5,
            "mser5_steady": bool(np.argmin(statistic) <= m // 2),
            "slope": stats.theilslopes(x).slope,
            "mann_kendall": {"s": plain.s, "variance": plain.var_s, "z": plain.z, "p": plain.p},
            "hamed_rao": {"variance": modified.var_s},
        })
    return cases


def harrell_davis():
    cases = []
    for n, q in [(5, 0.5), (11, 0.5), (30, 0.9), (100, 0.95), (250, 0.99), (2000, 0.99)]:
        x = rounded(random.lognormal(4, 0.7, n), 4)
        case = {"sample": x, "q": q, "value": mstats.hdquantiles(x, prob=[q])[0]}
        if n <= 250:
            case["value_r"] = by_r(f"suppressMessages(library(Hmisc)); cat(hdquantile(x, {q}))", x)[0]
            # Hmisc leaves one value out and keeps the weights of all; scipy weighs the rest as what it is.
            case["error"] = mstats.hdquantiles_sd(x, prob=[q])[0]
        cases.append(case)
    return cases


def harrell_davis_grouped():
    """Of values that a histogram holds, each with how often it was seen."""
    of_its_own = np.random.default_rng(7)
    cases = []
    for n, q in [(1500, 0.99), (9000, 0.999), (20000, 0.999), (60000, 0.999), (99000, 0.9995)]:
        values, counts = np.unique(np.round(of_its_own.lognormal(4, 0.7, n) / 8) * 8 + 4, return_counts=True)
        sample = np.repeat(values, counts)
        cases.append({"groups": list(zip(values.tolist(), counts.tolist())), "q": q,
                      "value": mstats.hdquantiles(sample, prob=[q])[0]})
    return cases


def order():
    cases = []
    for n, q in [(20, 0.5), (100, 0.5), (101, 0.9), (500, 0.95), (700, 0.99), (4000, 0.999), (300, 0.1)]:
        found = stats.quantile_test(np.arange(1, n + 1), q=0, p=q).confidence_interval(0.95)
        cases.append({"n": n, "q": q, "lower": int(found.low), "upper": int(found.high)})
    return cases


def distances():
    cases = []
    for n, m, shift in [(8, 8, 0), (40, 60, 3), (200, 100, 12)]:
        a = np.unique(np.round(random.gamma(4, 10, n)), return_counts=True)
        b = np.unique(np.round(random.gamma(4, 10, m) + shift), return_counts=True)
        x, y = np.repeat(*a), np.repeat(*b)
        d = stats.ks_2samp(x, y).statistic
        en = len(x) * len(y) / (len(x) + len(y))
        cases.append({
            "a": list(zip(a[0].tolist(), a[1].tolist())),
            "b": list(zip(b[0].tolist(), b[1].tolist())),
            "ks": d,
            "ks_p": special.kolmogorov(np.sqrt(en) * d),
            "wasserstein": stats.wasserstein_distance(a[0], b[0], a[1], b[1]),
            "superiority": stats.mannwhitneyu(y, x).statistic / (len(x) * len(y)),
        })
    return cases


def holm():
    cases = []
    for p in [[0.01, 0.04, 0.03, 0.005], [0.5, 0.02], rounded(random.uniform(0, 0.2, 12), 5)]:
        cases.append({"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()})
    return cases


def power():
    cases = []
    for s, effect, a, b in [(0.039, 0.02, 0.05, 0.8), (0.008, 0.02, 0.05, 0.8), (0.05, -0.03, 0.01, 0.9)]:
        z = stats.norm.ppf(1 - a / 2) + stats.norm.ppf(b)
        cases.append({"deviation": s, "effect": effect, "a": a, "power": b,
                      "pairs": max(6, int(np.ceil((z * s / np.log1p(effect)) ** 2)))})
    return cases


def t_power():
    cases = []
    for s, effect, a, b in [(0.01, 0.02, 0.05, 0.8), (0.039, 0.02, 0.05, 0.8), (0.005, 0.02, 0.05, 0.8),
                            (0.05, -0.03, 0.01, 0.9), (0.2, 0.05, 0.1, 0.5)]:
        d = abs(float(np.log1p(effect)))
        case = {"deviation": s, "effect": effect, "a": a, "power": b, "by_runs": []}
        for design, kind in [("paired", "one.sample"), ("apart", "two.sample")]:
            wanted = f"delta = {d!r}, sd = {s!r}, sig.level = {a!r}, type = '{kind}', strict = TRUE"
            [n] = by_r(f"p <- function(...) power.t.test({wanted}, ...)\n"
                       f"cat(if (p(n = 2)$power >= {b!r}) 2 else p(power = {b!r}, tol = 1e-10)$n)", [0])
            case[design] = max(2, int(np.ceil(n)))
            for runs in [2, 3, 5, 12, 80]:
                [found] = by_r(f"cat(format(power.t.test({wanted}, n = {runs})$power, digits = 15))", [0])
                other = (TTestPower() if design == "paired" else TTestIndPower()).power(d / s, runs, a)
                assert np.isnan(other) or abs(found - other) < 1e-6, (found, other)  # it gives up near 1
                case["by_runs"].append({"design": design, "runs": runs, "found": found})
        cases.append(case)
    return cases


def scalability():
    def law(n, single, sigma, kappa):
        return single * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))

    # The first are the measurements of a SPEC SDM benchmark in Gunther's "Guerrilla Capacity Planning", table 5.1.
    data = [([1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2])]
    n = np.array([1, 2, 4, 8, 16, 32, 48, 64])
    for truth in [(1000, 0.02, 0.0005), (250, 0.1, 0.0), (90, 0.0, 0.002)]:
        x = law(n, *truth) * np.exp(0.02 * random.standard_normal(len(n)))
        data.append((n.tolist(), rounded(x, 3)))
    cases = []
    for n, x in data:
        fits = [optimize.least_squares(lambda p: law(np.array(n), *p) - x, start, bounds=([1e-9, 0, 0], np.inf),
                                       x_scale=(x[0] / n[0], 0.1, 0.001), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=10000)
                for start in [(x[0] / n[0], 0.01, 1e-4), (x[0] / n[0], 0.2, 1e-6)]]
        fit = min(fits, key=lambda f: f.cost)
        cases.append({"points": list(zip(map(float, n), map(float, x))), "single": fit.x[0], "contention": fit.x[1],
                      "coherency": fit.x[2], "squares": 2 * fit.cost})
    return cases


fixtures = {
    "made_with": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__,
                  "r": subprocess.run(["Rscript", "-e", "cat(R.version.string, as.character(packageVersion('mcmc')),"
                                       "as.character(packageVersion('Hmisc')))"],
                                      capture_output=True, text=True, check=True).stdout},
    "ratios": ratios(),
    "relabellings": relabellings(),
    "modes": modes(),
    "series": series(),
    "harrell_davis": harrell_davis(),
    "harrell_davis_grouped": harrell_davis_grouped(),
    "order": order(),
    "distances": distances(),
    "holm": holm(),
    "power": power(),
    "t_power": t_power(),
    "scalability": scalability(),
}
with open(OUT, "w") as file:
    json.dump(fixtures, file, indent=1, default=float)
    file.write("\n")
