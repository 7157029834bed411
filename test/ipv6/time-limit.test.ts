import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { diagnosisSeconds, proofSeconds, withinSeconds } from '../../src/ipv6/time-limit.ts'

describe('time limits of a diagnosis', () => {
  it('are 30 s for one direction of one family, 90 s for more, and 15 s for each proof', () => {
    assert.equal(diagnosisSeconds({ family: 'ipv6', direction: 'pc1>r1' }), 30)
    for (const more of [{}, { family: 'ipv6' }, { direction: 'pc1>r1' }]) assert.equal(diagnosisSeconds(more), 90)
    assert.equal(proofSeconds, 15)
  })

  it('end what takes longer and say what it was at that time, and leave alone what is quick', async () => {
    let activity = 'logging in'
    const limit = { seconds: 0.05, what: () => `the diagnosis (${activity})`, signal: new AbortController().signal }
    const slow = withinSeconds(limit, async (signal) => {
      activity = 'probing'
      await delay(10_000, undefined, { signal }).catch(() => {
        throw signal.reason
      })
    })
    await assert.rejects(slow, {
      code: 'TIMED_OUT',
      message: 'the diagnosis (probing) was given up at its limit of 0.05 s',
    })
    const given = await withinSeconds(limit, async (signal) => signal)
    await delay(100)
    assert.equal(given.aborted, false)
  })

  it('end with the caller’s own abort as well', async () => {
    const caller = new AbortController()
    const limit = { seconds: 10, what: () => 'it', signal: caller.signal }
    const task = withinSeconds(limit, async (signal) => {
      await delay(10_000, undefined, { signal }).catch(() => {
        throw signal.reason
      })
    })
    caller.abort(new Error('Ctrl-C'))
    await assert.rejects(task, { message: 'Ctrl-C' })
  })
})
