import assert from 'node:assert/strict'
import { type DiagnosedVm, makeDiagnosedVm, type Selection } from './diagnosed-vm.ts'
import { makeRouter, onBridge, type ProducedFault } from './produced-faults.ts'

/** Without it a lean selection of pairs runs. */
const isWhole = Number(process.env.VMR_TEST_REPEAT ?? 0) > 0

const fault = (title: string): ProducedFault => {
  const found = onBridge.find((each) => each.title === title)
  assert.ok(found, `no fault is produced as "${title}"`)
  return found
}

/** Each can be made and taken back whatever the others did. */
const titles = [
  'a firewall rule of the bridge drops neighbour solicitations',
  'br_netfilter hands the frames to a FORWARD policy of drop',
  'tap and uplink are isolated ports',
  'the tap gets no multicast',
  'a static entry sends the VM’s frames to the uplink',
  'the virtual cable is unplugged',
  'a neighbour entry set by hand is wrong',
  'IPv4 forwarding is off in the VM',
  'IPv6 forwarding is off in the VM',
  'the far PC has no route back',
  'the near PC has no route',
  'the reverse path filter of the VM',
  'the VM is told not to answer pings',
  'the VM’s interface takes no part in ARP',
  'the tap carries only 1400 bytes',
  'the PC’s firewall drops neighbour advertisements',
]

const lean: readonly (readonly [string, string])[] = [
  // One each of the families.
  ['the tap gets no multicast', 'the VM is told not to answer pings'],
  // Both at one hop.
  ['br_netfilter hands the frames to a FORWARD policy of drop', 'tap and uplink are isolated ports'],
  // One behind the other.
  ['IPv6 forwarding is off in the VM', 'the far PC has no route back'],
  ['the virtual cable is unplugged', 'the VM’s interface takes no part in ARP'],
  ['a neighbour entry set by hand is wrong', 'the reverse path filter of the VM'],
  ['the tap carries only 1400 bytes', 'the PC’s firewall drops neighbour advertisements'],
]
const every = titles.flatMap((one, index) => titles.slice(index + 1).map((other) => [one, other] as const))

/** What either of them shows on. */
function both(one: Selection, other: Selection): Selection {
  const directions = new Set([one, other].flatMap(({ direction }) => direction?.split(',') ?? []))
  return {
    ...(one.family === other.family && one.family !== undefined ? { family: one.family } : {}),
    direction: [...directions].join(','),
  }
}

describe('diagnosis of a VM with two faults at once', function () {
  this.timeout(120_000)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('bridge', 'vmrf')
    await makeRouter(lab)
    await lab.settled()
  })
  after(() => lab?.remove())

  for (const [one, other] of isWhole ? every : lean)
    it(`names no other than what is wrong where ${one}, and ${other}`, async () => {
      const faults = [fault(one), fault(other)] as const
      const made: ProducedFault[] = []
      try {
        for (const each of faults) {
          made.push(each)
          await each.make(lab)
        }
        const { diagnosis } = await lab.diagnose(both(faults[0].selection, faults[1].selection))
        const seen = JSON.stringify(
          diagnosis.broken.map(({ path, line, causes }) => ({ path: path.id, line, causes })),
          null,
          1,
        )
        const expected = faults.map((each) => each.expected)
        assert.notEqual(diagnosis.verdict, 'healthy', seen)
        assert.notEqual(diagnosis.verdict, 'unprobed', seen)
        // At least one of the two, or that the cause is not known; and never a third one.
        const wrong = diagnosis.named.filter((named) => !expected.includes(named.fault.id))
        assert.deepEqual(
          wrong.map((named) => `${named.fault.id} at ${named.hop}`),
          [],
          seen,
        )
        if (diagnosis.verdict === 'named') assert.ok(diagnosis.named.length > 0, seen)
        else
          assert.ok(
            diagnosis.broken.some(({ causes }) => causes.length === 0),
            seen,
          )
      } finally {
        for (const each of made.reverse()) await each.undo(lab)
      }
    })
})
