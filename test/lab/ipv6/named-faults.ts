import assert from 'node:assert/strict'
import { diagnosisSeconds } from '../../../src/ipv6/time-limit.ts'
import type { DiagnosedVm } from './diagnosed-vm.ts'
import type { ProducedFault, unknownOnBridge } from './produced-faults.ts'

/** Without it a lean selection runs, once each. */
const repeat = Number(process.env.VMR_TEST_REPEAT ?? 0)
const times = Math.max(1, repeat)
const chosen = (faults: readonly ProducedFault[]) => faults.filter(({ lean }) => lean || repeat > 0)
/** Makes each fault for real: the diagnosis is to name it, and nothing else, at its hop. */
export function itNames(lab: () => DiagnosedVm, faults: readonly ProducedFault[]) {
  for (const fault of chosen(faults))
    for (let time = 1; time <= times; time++)
      it(`names it where ${fault.title}${times > 1 ? `, ${time} of ${times}` : ''}`, async () => {
        await fault.make(lab())
        try {
          const { diagnosis, evidence } = await lab().diagnose(fault.selection)
          const seen = JSON.stringify(
            diagnosis.broken.map(({ path, line, causes }) => ({ path: path.id, line, causes })),
            null,
            1,
          )
          assert.deepEqual([...new Set(diagnosis.named.map(({ fault: { id } }) => id))], [fault.expected], seen)
          assert.equal(diagnosis.verdict, 'named', seen)
          for (const { hop } of diagnosis.named) assert.match(hop, fault.at)
          assert.ok(evidence.seconds < diagnosisSeconds(fault.selection), `took ${evidence.seconds} s`)
        } finally {
          await fault.undo(lab())
        }
      })
}

/** Makes what the catalogue does not know: the diagnosis is to say where it is lost, and to name nothing. */
export function itNamesNothing(lab: () => DiagnosedVm, unknown: typeof unknownOnBridge) {
  for (const { title, line, selection, make, undo } of unknown.filter((each) => each.lean || repeat > 0))
    it(`says where, and names no cause, where ${title}`, async () => {
      await make(lab())
      try {
        const { diagnosis } = await lab().diagnose(selection)
        assert.deepEqual(diagnosis.named, [])
        assert.equal(diagnosis.verdict, 'unknown')
        for (const broken of diagnosis.broken) assert.match(broken.line, line)
      } finally {
        await undo(lab())
      }
    })
}
