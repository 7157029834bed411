import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { disturbing, type PlannedStress, planEndurance, readStressNames } from '../../src/ipv6/endurance/plan.ts'
import { stressNames } from '../../src/ipv6/endurance/stress.ts'
import { compareVerdicts, isWorse } from '../../src/ipv6/endurance/verdicts.ts'
import { type Evidence, evidenceSchema } from '../../src/ipv6/evidence/schema.ts'

const uri = 'qemu:///system'

/** Recorded of a VM on untrusted macvtaps, in the lab. */
const recorded = async (): Promise<Evidence> =>
  evidenceSchema.parse(
    JSON.parse(await readFile(new URL('../fixtures/evidence-macvtap.json', import.meta.url), 'utf8')),
  )

/** The same VM on a bridge of the host. */
function onBridge(evidence: Evidence, name: string, changes: Partial<NonNullable<Bridge>> = {}): Evidence {
  const { host } = evidence.machines
  const targets = evidence.nics.map(({ target }) => target)
  assert.ok(host)
  const [first] = host.links
  assert.ok(first)
  const bridge = {
    ...{ stp: false, snooping: true, querier: true, otherQuerier: { ipv4: false, ipv6: false } },
    ...{ vlanFiltering: false, callIptables: false, callIp6tables: false, callArptables: false, ...changes },
  }
  const links = [
    ...host.links.map((link) => (targets.includes(link.name) ? { ...link, master: name } : link)),
    { ...first, name, kind: 'bridge', bridge },
  ]
  return { ...evidence, machines: { ...evidence.machines, host: { ...host, links } } }
}
type Bridge = Evidence['machines'][string]['links'][number]['bridge']

const found = (planned: readonly PlannedStress[], wanted: string) => {
  const each = planned.find(({ stress: { name } }) => name === wanted)
  assert.ok(each)
  return each
}
const asksOf = (planned: PlannedStress) => ('asks' in planned ? planned.asks : planned.impossible)

describe('planning an endurance test', () => {
  let evidence: Evidence
  before(async () => {
    evidence = await recorded()
  })

  it('holds every stress, those that nobody notices first, and asks before the others', () => {
    const planned = planEndurance(evidence, uri, 'all')
    assert.deepEqual(
      planned.map(({ stress: { name } }) => name),
      stressNames,
    )
    const quiet = planned.filter((each) => 'asks' in each && each.asks.length === 0).map(({ stress }) => stress.name)
    assert.deepEqual(quiet, ['neighbour-aging', 'address-later'])
    assert.deepEqual(asksOf(found(planned, 'guest-reboot')), [`${evidence.vm.name} is restarted`])
    assert.deepEqual(
      disturbing('all').map(({ name }) => name),
      ['link-flap', 'suspend', 'libvirtd-restart', 'guest-reboot'],
    )
  })

  it('says why a stress can do nothing to a VM', () => {
    const planned = planEndurance(evidence, 'test:///default', 'all')
    assert.match(String(asksOf(found(planned, 'idle'))), /no bridge/)
    assert.match(String(asksOf(found(planned, 'membership-expiry'))), /no bridge .* snoops/)
    assert.match(String(asksOf(found(planned, 'libvirtd-restart'))), /test:\/\/\/default/)
    const unseen = { ...evidence, machines: { host: evidence.machines.host ?? assert.fail() } }
    assert.match(String(asksOf(found(planEndurance(unseen, uri, 'all'), 'guest-reboot'))), /nobody is logged in/)
  })

  it('shortens the timers of what vmr made, and asks before it shortens those of others', () => {
    const own = found(planEndurance(onBridge(evidence, 'vmr-br1'), uri, ['idle']), 'idle')
    assert.deepEqual(asksOf(own), [])
    const foreign = found(planEndurance(onBridge(evidence, 'br0'), uri, ['idle']), 'idle')
    assert.deepEqual(asksOf(foreign), ['timers of host br0, which vmr did not make, are shortened for seconds'])
    const guest = found(
      planEndurance({ ...evidence, vm: { ...evidence.vm, ours: false } }, uri, ['neighbour-aging']),
      'neighbour-aging',
    )
    assert.match(String(asksOf(guest)), new RegExp(`timers of ${evidence.vm.name} eth0`))
  })

  it('does not hurry a querier that is another machine', () => {
    const timers = (each: PlannedStress) =>
      'plan' in each ? each.plan.timers.map(({ setting }) => setting) : undefined
    const own = planEndurance(onBridge(evidence, 'vmr-br1'), uri, ['membership-expiry'])
    assert.ok(timers(found(own, 'membership-expiry'))?.includes('mcast_membership_interval'))
    const others = onBridge(evidence, 'vmr-br1', { otherQuerier: { ipv4: false, ipv6: true } })
    const planned = planEndurance(others, uri, ['membership-expiry'])
    assert.deepEqual(timers(found(planned, 'membership-expiry')), [])
    const deaf = onBridge(evidence, 'vmr-br1', { snooping: false })
    assert.match(
      String(asksOf(found(planEndurance(deaf, uri, ['membership-expiry']), 'membership-expiry'))),
      /no bridge .* snoops/,
    )
  })

  it('takes names between commas, and says which there are', () => {
    assert.deepEqual(readStressNames('suspend, idle'), ['suspend', 'idle'])
    assert.deepEqual(
      planEndurance(evidence, uri, ['suspend', 'idle']).map(({ stress }) => stress.name),
      ['idle', 'suspend'],
    )
    assert.throws(() => readStressNames('r1'), { code: 'USAGE', hint: /neighbour-aging.*VM’s name goes before/ })
  })
})

describe('verdicts before and after a stress', () => {
  let broken: Evidence
  let works: Evidence
  before(async () => {
    broken = await recorded()
    works = { ...broken, paths: broken.paths.map((path) => ({ ...path, probe: { sent: 1, received: 1 } })) }
  })
  const lines = (before: Evidence, after: Evidence, lostUnderWay: readonly string[] = []) =>
    compareVerdicts(before, after, { afterWhat: 'membership expiry', lostUnderWay })

  it('name what a stress took away, and nothing that was broken before', () => {
    const worse = lines(works, broken).filter(isWorse)
    assert.ok(worse.length > 0)
    for (const { family, line } of worse) {
      assert.equal(family, 'ipv6')
      assert.match(line, /^IPv6 pc[12] -> \S+: (lost|2001\S+(, 2001\S+)* lost) after membership expiry$/)
    }
    assert.deepEqual(lines(broken, broken).filter(isWorse), [])
    assert.deepEqual(lines(broken, works).filter(isWorse), [])
    assert.ok(lines(broken, works).some(({ line }) => line.endsWith('healed by membership expiry')))
  })

  it('count what was lost under way, and addresses that are gone', () => {
    const [first] = works.paths
    assert.ok(first)
    const [worse, ...others] = lines(works, works, [first.id]).filter(isWorse)
    assert.deepEqual(others, [])
    assert.equal(worse?.direction, first.direction)
    const without = works.paths.filter(
      ({ direction, family }) => `${family} ${direction}` !== `ipv6 ${first.direction}`,
    )
    const [gone] = lines(works, { ...works, paths: without }).filter(isWorse)
    assert.match(gone?.line ?? '', /no address left after membership expiry$/)
  })
})
