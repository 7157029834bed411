import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { diagnosisText } from '../../src/cli/diagnosis-text.ts'
import { diagnose } from '../../src/ipv6/diagnosis.ts'
import { type Evidence, evidenceSchema, frameKinds } from '../../src/ipv6/evidence/schema.ts'
import { faults } from '../../src/ipv6/faults/index.ts'

/** Recorded of a VM on untrusted macvtaps, in the lab. */
const recorded = async (): Promise<Evidence> =>
  evidenceSchema.parse(
    JSON.parse(await readFile(new URL('../fixtures/evidence-macvtap.json', import.meta.url), 'utf8')),
  )

/** Every object and list of a document, to be changed in place. */
function places(value: unknown, found: { holder: Record<string, unknown>; key: string }[] = []) {
  if (typeof value !== 'object' || value === null) return found
  for (const key of Object.keys(value)) {
    const holder = value as Record<string, unknown>
    found.push({ holder, key })
    places(holder[key], found)
  }
  return found
}

const junk = fc.oneof(
  fc.constantFrom(
    0,
    1,
    135,
    -1,
    true,
    false,
    '',
    'eth0',
    'host',
    'fe80::1',
    '::',
    'no address',
    '192.0.2.1',
    '52:54:00:00:00:01',
  ),
  fc.string({ maxLength: 20 }),
  fc.constantFrom([], {}, undefined, ...frameKinds),
)

describe('diagnosis of evidence', function () {
  this.timeout(30_000)
  let evidence: Evidence
  before(async () => {
    evidence = await recorded()
  })

  it('names the macvtap’s multicast filter from the recorded evidence alone', () => {
    const { verdict, named } = diagnose(evidence)
    assert.equal(verdict, 'named')
    assert.deepEqual([...new Set(named.map(({ fault }) => fault.id))], ['macvtap-multicast-filter'])
    for (const { hop } of named) assert.match(hop, /^host macvtap\d+$/)
  })

  it('says what, where and what to do in the first three lines', () => {
    const [what = '', where = '', todo = ''] = diagnosisText(evidence, diagnose(evidence)).split('\n')
    assert.match(what, /IPv4 works; IPv6 pc1>r1, pc2>r1 is broken/)
    assert.match(where, /^where: host macvtap\d+: the macvtap’s multicast filter/)
    assert.match(todo, /^do: .*trustGuestRxFilters/)
  })

  it('names nothing where every probe was answered, whatever the machines look like', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), junk), { maxLength: 30 }), (changes) => {
        const copy = structuredClone(evidence)
        const spots = places(copy.machines)
        for (const [number, value] of changes) {
          const spot = spots[number % spots.length]
          if (spot !== undefined) spot.holder[spot.key] = value
        }
        const paths = copy.paths.map(({ trace: _, resolvedMac: __, large: ___, ...path }) => ({
          ...path,
          probe: { sent: 1, received: 1 },
        }))
        const parsed = evidenceSchema.safeParse({ ...copy, paths })
        fc.pre(parsed.success)
        const { verdict, named } = diagnose(parsed.data)
        assert.equal(verdict, 'healthy')
        assert.deepEqual(named, [])
      }),
      { numRuns: 100 },
    )
  })

  it('never throws, and prints, whatever evidence its schema accepts', () => {
    let accepted = 0
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), junk), { minLength: 1, maxLength: 12 }), (changes) => {
        const copy: unknown = structuredClone(evidence)
        const spots = places(copy)
        for (const [number, value] of changes) {
          const spot = spots[number % spots.length]
          if (spot !== undefined) spot.holder[spot.key] = value
        }
        const parsed = evidenceSchema.safeParse(copy)
        if (!parsed.success) return
        accepted++
        assert.ok(diagnosisText(parsed.data, diagnose(parsed.data)).length > 0)
      }),
      { numRuns: 1000 },
    )
    assert.ok(accepted > 20, `${accepted} documents were accepted`)
  })

  it('does not name the filter once its group is there, or it is open', () => {
    for (const heal of [
      (copy: Evidence) => {
        for (const group of Object.values(copy.machines.host?.groups ?? {}))
          group.link.push('33:33:ff:00:00:01', '33:33:ff:5a:3c:91', '33:33:ff:c3:a5:7e')
      },
      (copy: Evidence) => {
        for (const link of copy.machines.host?.links ?? []) link.allMulticast = 1
      },
    ]) {
      const copy = structuredClone(evidence)
      heal(copy)
      assert.equal(diagnose(copy).verdict, 'unknown')
    }
  })

  it('says of a NIC that only its definition trusts that update-device changed nothing', () => {
    const nics = evidence.nics.map((nic) => ({ ...nic, definedTrust: true }))
    const { named } = diagnose({ ...evidence, nics })
    assert.deepEqual([...new Set(named.map(({ fault }) => fault.id))], ['macvtap-multicast-filter'])
    assert.match(named[0]?.facts.join(' ') ?? '', /update-device reports success and changes nothing/)
  })

  it('notes that a macvtap takes in more than its filter would, and why', () => {
    for (const [trust, change, note] of [
      [false, { promiscuity: 1 }, /macvtap0 is promiscuous, by a capture on the host or by hand/],
      [true, { promiscuity: 1 }, /macvtap0 is promiscuous: the guest has a VLAN table/],
      [true, { allMulticast: 1 }, /macvtap0 takes in all multicast: the guest is in more groups/],
    ] as const) {
      const copy = structuredClone(evidence)
      for (const link of copy.machines.host?.links ?? []) Object.assign(link, link.name === 'macvtap0' ? change : {})
      for (const nic of copy.nics) nic.trust = trust
      assert.match(diagnose(copy).notes.join('\n'), note)
      assert.doesNotMatch(diagnose(evidence).notes.join('\n'), note)
    }
  })

  it('notes that addresses which end like their MAC address prove nothing', () => {
    const paths = evidence.paths
      .filter(({ to, form }) => to.machine !== 'guest' || form !== 'static')
      .map((path) => ({ ...path, form: path.to.machine === 'guest' ? ('eui64' as const) : path.form }))
    assert.match(diagnose({ ...evidence, paths }).notes.join('\n'), /ends like its MAC address/)
    assert.doesNotMatch(diagnose(evidence).notes.join('\n'), /ends like its MAC address/)
  })

  it('has one entry an id, each saying what would refute it', () => {
    assert.equal(new Set(faults.map(({ id }) => id)).size, faults.length)
    for (const fault of faults) assert.ok(fault.refutedBy !== '' && fault.provenBy !== '' && fault.verify !== '')
  })
})
