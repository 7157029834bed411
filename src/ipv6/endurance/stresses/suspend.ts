import { runChecked } from '../../../shell/shell.ts'
import { withLibvirt } from '../../../vm/libvirt-failure.ts'
import { guestKey } from '../../evidence/topology.ts'
import { pingPaths } from '../ping-paths.ts'
import type { Stress } from '../stress.ts'

export const suspend: Stress = {
  name: 'suspend',
  after: 'suspend and resume',
  what: 'pauses the VM until its neighbours have found it gone, and lets it run on',
  disturbs: (name) => `${name} is paused for some seconds`,
  limitSeconds: 150,
  plan({ paths }) {
    return paths.some(({ to, from }) => to.machine === guestKey && from.machine !== guestKey)
      ? { timers: [] }
      : { impossible: 'nobody is there to find the VM gone' }
  },
  async run(bench, _plan, probe) {
    const { connection, domain, machines, journal, uri, name, evidence, signal, addFact } = bench
    const inward = evidence.paths.filter(({ to, from }) => to.machine === guestKey && from.machine !== guestKey)
    const note = await journal.before({ kind: 'vm-paused', uri, name, uuid: domain.uuid })
    try {
      await withLibvirt(`pausing ${name}`, () => connection.suspendDomain(domain, { signal }))
      const silent = await pingPaths(inward, bench)
      addFact(`${silent.length} of ${inward.length} paths found it gone`)
    } finally {
      await withLibvirt(`resuming ${name}`, () => connection.resumeDomain(domain))
      await journal.undone(note)
    }
    const guest = machines.get(guestKey)
    // Back at its prompt.
    if (guest !== undefined) await runChecked(guest.shell, ['true'], { signal })
    await probe()
  },
}
