/** One trial: what was offered, and which share of it was lost. */
export interface LossTrial {
  readonly offeredBitsPerSecond: number
  readonly lossShare: number
  readonly seconds: number
}

export interface ZeroLossSearch {
  readonly highestBitsPerSecond: number
  /** How well the rate is known in the end, as a share of the highest. */
  readonly resolution: number
  /** Measures one rate. */
  readonly attempt: (bitsPerSecond: number) => Promise<LossTrial>
}

export interface ZeroLossRate {
  /** Undefined when even the lowest rate that was tried lost something. */
  readonly bitsPerSecond: number | undefined
  readonly trials: readonly LossTrial[]
}

/**
 * The highest rate at which nothing is lost (RFC 2544 section 26.1): the highest first, then halving between the
 * highest rate that lost nothing and the lowest that lost something.
 */
export async function findZeroLossRate({
  highestBitsPerSecond,
  resolution,
  attempt,
}: ZeroLossSearch): Promise<ZeroLossRate> {
  const trials: LossTrial[] = []
  const losesNothing = async (rate: number) => {
    const trial = await attempt(rate)
    trials.push(trial)
    return trial.lossShare === 0
  }
  if (await losesNothing(highestBitsPerSecond)) return { bitsPerSecond: highestBitsPerSecond, trials }
  let [good, bad] = [0, highestBitsPerSecond]
  while (bad - good > resolution * highestBitsPerSecond) {
    const middle = (good + bad) / 2
    if (await losesNothing(middle)) good = middle
    else bad = middle
  }
  return { bitsPerSecond: good === 0 ? undefined : good, trials }
}
