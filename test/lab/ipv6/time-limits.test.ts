import assert from 'node:assert/strict'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { diagnose } from '../../../src/ipv6/diagnosis.ts'
import { proveByCure } from '../../../src/ipv6/prove.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { observedState } from './observed-state.ts'

const { signal } = new AbortController()
const inward6 = { family: 'ipv6', direction: 'pc1>r1' } as const

/** Every `ip` in the guest takes so long, as on a machine that has no time for it. */
async function slow({ guest }: DiagnosedVm, seconds: number): Promise<() => Promise<unknown>> {
  await guest(
    `i=$(readlink -f "$(command -v ip)"); cp "$i" /run/real-ip; printf '#!/bin/sh\\nsleep ${seconds}\\nexec /run/real-ip "$@"\\n' >/run/slow-ip; chmod +x /run/slow-ip; mount --bind /run/slow-ip "$i"`,
  )
  return () => guest('umount "$(readlink -f "$(command -v ip)")"; rm /run/real-ip /run/slow-ip')
}

async function seconds(task: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await task()
  return (performance.now() - start) / 1000
}

describe('time limits of a diagnosis', function () {
  this.timeout(90_000)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('bridge')
    await lab.settled()
  })
  after(() => lab?.remove())

  it('gives one direction of one family up after 30 s, says what it was at, and leaves every machine as it was', async () => {
    const before = await observedState(lab.vm)
    const heal = await slow(lab, 5)
    try {
      const took = await seconds(() =>
        assert.rejects(lab.diagnose(inward6), (error) => {
          assert.ok(isVmrError(error))
          assert.equal(error.code, 'TIMED_OUT')
          assert.match(error.message, /^the diagnosis of r1 \(.+\) was given up at its limit of 30 s$/)
          return true
        }),
      )
      assert.ok(took >= 29.9 && took < 36, `${took} s`)
    } finally {
      await heal()
    }
    assert.deepEqual(await observedState(lab.vm), before)
  })

  it('gives the proof of a cause up after 15 s, and takes the cure back all the same', async () => {
    const [tap = ''] = lab.taps
    const flood = () => lab.host(`cat /sys/class/net/${tap}/brport/multicast_flood`)
    await lab.host(`ip link set ${tap} type bridge_slave mcast_flood off`)
    try {
      await lab.withEvidence(inward6, async ({ evidence, machines }, journal) => {
        const [named] = diagnose(evidence).named
        assert.ok(named)
        const heal = await slow(lab, 8)
        try {
          const took = await seconds(() =>
            assert.rejects(proveByCure(named, { evidence, machines, journal, signal }), {
              code: 'TIMED_OUT',
              message: `the proof of bridge-port-flag at ${named.hop} was given up at its limit of 15 s`,
            }),
          )
          assert.ok(took >= 14.9 && took < 21, `${took} s`)
        } finally {
          await heal()
        }
        assert.deepEqual(journal.pending(), [])
      })
      assert.equal((await flood()).trim(), '0')
    } finally {
      await lab.host(`ip link set ${tap} type bridge_slave mcast_flood on`)
    }
  })
})
