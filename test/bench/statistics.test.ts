import assert from 'node:assert/strict'
import fc from 'fast-check'
import { median, medianInterval, quantile, randomSource, summarise } from '../../src/bench/statistics.ts'

const rates = fc.array(fc.double({ min: 0, max: 1e10, noNaN: true }), { minLength: 1, maxLength: 40 })

describe('statistics', () => {
  it('take the middle value, or the mean of the two in the middle', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([4, 1, 2, 3]), 2.5)
    assert.equal(quantile([10, 20, 30, 40, 50], 0.25), 20)
    assert.equal(quantile([10, 20], 0.9), 19)
  })

  it('refuse to summarise nothing', () => {
    assert.throws(() => summarise([], 1), RangeError)
  })

  it('keep their order, whatever the values', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 0 }), (values, seed) => {
        const { count, min, firstQuartile, median: middle, thirdQuartile, max, interval } = summarise(values, seed)
        assert.equal(count, values.length)
        assert.ok(min <= firstQuartile && firstQuartile <= middle && middle <= thirdQuartile && thirdQuartile <= max)
        if (interval === undefined) assert.ok(count < 6)
        else assert.ok(min <= interval.low && interval.low <= interval.high && interval.high <= max)
      }),
      { numRuns: 30 },
    )
  })

  it('leave the values as they were', () => {
    const values = [3, 1, 2]
    summarise(values, 1)
    assert.deepEqual(values, [3, 1, 2])
  })
})

describe('the confidence interval of the median', () => {
  it('is the same for the same seed, and moves a little with another', () => {
    const random = randomSource(7)
    const values = Array.from({ length: 12 }, random)
    assert.deepEqual(medianInterval(values, { seed: 1 }), medianInterval(values, { seed: 1 }))
    assert.notDeepEqual(medianInterval(values, { seed: 1 }), medianInterval(values, { seed: 2 }))
  })

  it('is not claimed for fewer values than can have one', () => {
    assert.equal(medianInterval([1, 2, 3, 4, 5], { seed: 1 }), undefined)
    assert.notEqual(medianInterval([1, 2, 3, 4, 5, 6], { seed: 1 }), undefined)
  })

  it('is a point where all values are equal', () => {
    assert.deepEqual(medianInterval(Array(8).fill(5), { seed: 1 }), { low: 5, high: 5 })
  })

  // A result of 400 simulations at 95 % lies above 92.8 % in 98 of 100 cases; the seeds are fixed, so this one does or does not.
  for (const [shape, draw, truth] of [
    ['symmetric', (random: () => number) => random() + random() + random(), 1.5],
    ['skewed, as rates under load are', (random: () => number) => -Math.log(1 - random()), Math.LN2],
  ] as const) {
    for (const count of [7, 10]) {
      it(`covers the median at least 95 times of 100 with ${count} values, ${shape}`, () => {
        const random = randomSource(count)
        const runs = 400
        let covered = 0
        for (let run = 0; run < runs; run++) {
          const values = Array.from({ length: count }, () => draw(random))
          const interval = medianInterval(values, { seed: run })
          if (interval !== undefined && interval.low <= truth && truth <= interval.high) covered++
        }
        assert.ok(covered / runs > 0.928, `covered ${covered} of ${runs}`)
      })
    }
  }
})
