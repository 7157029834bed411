/** Numbers in [0, 1), the same ones for the same seed. */
export type RandomSource = () => number

/** Mulberry32: 32 bits of state, every seed usable; its period of 2^32 is far beyond what resampling draws. */
export function randomSource(seed: number): RandomSource {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * The value below which the share `probability` of the values lies, interpolated linearly between neighbours
 * (Hyndman and Fan, type 7). NaN without values.
 */
export function quantile(values: readonly number[], probability: number): number {
  return sortedQuantile(ascending(values), probability)
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export interface Interval {
  readonly low: number
  readonly high: number
}

export interface Summary {
  readonly count: number
  readonly median: number
  readonly min: number
  readonly max: number
  readonly firstQuartile: number
  readonly thirdQuartile: number
  /** 95 % confidence interval of the median; undefined where the values are too few to have one. */
  readonly interval: Interval | undefined
}

/** @throws RangeError without values. */
export function summarise(values: readonly number[], seed: number): Summary {
  if (values.length === 0) throw new RangeError('there is nothing to summarise: no values')
  const sorted = ascending(values)
  return {
    count: sorted.length,
    median: sortedQuantile(sorted, 0.5),
    min: sortedQuantile(sorted, 0),
    max: sortedQuantile(sorted, 1),
    firstQuartile: sortedQuantile(sorted, 0.25),
    thirdQuartile: sortedQuantile(sorted, 0.75),
    interval: medianInterval(values, { seed }),
  }
}

/**
 * Both the smallest and the largest of n values lie on one side of the true median with probability 2 × 0.5^n. Below
 * six values that is more than 5 %: whatever is computed from five values is no 95 % interval.
 */
const minValuesOfInterval = 6
/** Normal quantile of 97.5 %: what an interval leaves out is half on each side. */
const sideQuantile = 1.959963984540054
const resamples = 2000

/**
 * Bootstrap confidence interval of the median at 95 %, bias-corrected and accelerated (BCa; Efron and Tibshirani, An
 * Introduction to the Bootstrap, chapter 14). A resample of few values varies less than a new measurement would, so
 * the level is widened by √(n/(n-1)) and Student's t (Hesterberg, What Teachers Should Know About the Bootstrap, 2015,
 * "expanded percentile"); without that the interval of seven values covers the median 86 to 88 times of 100. The same
 * values and seed give the same interval.
 *
 * Undefined below {@link minValuesOfInterval} values.
 */
export function medianInterval(values: readonly number[], { seed }: { readonly seed: number }): Interval | undefined {
  if (values.length < minValuesOfInterval) return undefined
  const sorted = ascending(values)
  const estimate = sortedQuantile(sorted, 0.5)
  const random = randomSource(seed)
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => sorted[Math.floor(random() * sorted.length)] ?? Number.NaN)),
  ).sort((a, b) => a - b)

  // Ties count half: the median of a resample is often exactly one of the values.
  const below = medians.filter((each) => each < estimate).length
  const equal = medians.filter((each) => each === estimate).length
  const bias = normalQuantile((below + equal / 2) / resamples)
  const acceleration = jackknifeAcceleration(sorted)
  const expanded = Math.sqrt(values.length / (values.length - 1)) * studentQuantile(values.length - 1)
  const bound = (side: 1 | -1) => {
    const shifted = bias + side * expanded
    return sortedQuantile(medians, normalCumulative(bias + shifted / (1 - acceleration * shifted)))
  }
  return { low: bound(-1), high: bound(1) }
}

/**
 * Bootstrap confidence interval at 95 % of the median of `values` divided by that of `reference`: percentiles of the
 * ratio, both resampled, expanded for few values as {@link medianInterval} does for the smaller of the two. The same
 * values and seed give the same interval. Undefined where either has too few values for an interval, or a median of 0.
 */
export function ratioInterval(
  values: readonly number[],
  reference: readonly number[],
  { seed }: { readonly seed: number },
): Interval | undefined {
  const fewest = Math.min(values.length, reference.length)
  if (fewest < minValuesOfInterval || median(reference) === 0) return undefined
  const random = randomSource(seed)
  const resampled = (sample: readonly number[]) =>
    median(sample.map(() => sample[Math.floor(random() * sample.length)] ?? Number.NaN))
  const ratios = Array.from({ length: resamples }, () => resampled(values) / resampled(reference)).sort((a, b) => a - b)
  const expanded = Math.sqrt(fewest / (fewest - 1)) * studentQuantile(fewest - 1)
  return {
    low: sortedQuantile(ratios, normalCumulative(-expanded)),
    high: sortedQuantile(ratios, normalCumulative(expanded)),
  }
}

function jackknifeAcceleration(sorted: readonly number[]): number {
  const estimates = sorted.map((_, left) =>
    sortedQuantile(
      sorted.filter((__, index) => index !== left),
      0.5,
    ),
  )
  const mean = estimates.reduce((sum, each) => sum + each, 0) / estimates.length
  const sumOf = (power: number) => estimates.reduce((sum, each) => sum + (mean - each) ** power, 0)
  const spread = sumOf(2) ** 1.5
  return spread === 0 ? 0 : sumOf(3) / (6 * spread)
}

/** Student's t at 97.5 % for five degrees of freedom and more (Abramowitz and Stegun 26.7.5); error below 0.002. */
function studentQuantile(degrees: number): number {
  const z = sideQuantile
  return (
    z +
    (z ** 3 + z) / (4 * degrees) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * degrees ** 3)
  )
}

/** Cumulative distribution of the standard normal; absolute error below 8e-8 (Abramowitz and Stegun 26.2.17). */
function normalCumulative(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const upper = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * polynomial
  return x >= 0 ? 1 - upper : upper
}

/** Inverse of {@link normalCumulative}, by bisection: it is called a few times an interval, and exactness is free. */
function normalQuantile(probability: number): number {
  let low = -8
  let high = 8
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (normalCumulative(middle) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

function ascending(values: readonly number[]): readonly number[] {
  return [...values].sort((a, b) => a - b)
}

function sortedQuantile(sorted: readonly number[], probability: number): number {
  const position = (sorted.length - 1) * Math.min(1, Math.max(0, probability))
  const lower = sorted[Math.floor(position)] ?? Number.NaN
  const upper = sorted[Math.ceil(position)] ?? Number.NaN
  return lower + (upper - lower) * (position - Math.floor(position))
}
