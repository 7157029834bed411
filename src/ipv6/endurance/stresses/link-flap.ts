import { VmrError } from '../../../errors/vmr-error.ts'
import { readLinks } from '../../../os/linux/ip-json.ts'
import { runChecked } from '../../../shell/shell.ts'
import type { Evidence } from '../../evidence/schema.ts'
import { hostKey, linkOf } from '../../evidence/topology.ts'
import { isOwn, type Stress } from '../stress.ts'
import { until } from '../until.ts'

/** The VM's own devices on the host; and its uplinks where vmr made them: who works on this host may do so over others. */
function flappedLinks(evidence: Evidence): readonly string[] {
  const { machines, nics } = evidence
  const names = nics.flatMap(({ target, uplink }) => [
    ...(target === undefined ? [] : [target]),
    ...(uplink !== undefined && isOwn(evidence, { machine: hostKey, link: uplink }) ? [uplink] : []),
  ])
  return [...new Set(names)].filter((name) => linkOf(machines[hostKey], name)?.flags.includes('LOWER_UP'))
}

export const linkFlap: Stress = {
  name: 'link-flap',
  after: 'a link flap',
  what: 'takes the host’s links of the VM down and up again, one after another',
  disturbs: (name) => `the network of ${name} is gone for a second`,
  limitSeconds: 180,
  plan(evidence) {
    return flappedLinks(evidence).length === 0 ? { impossible: 'no link of the VM on the host is up' } : { timers: [] }
  },
  async run({ machines, journal, evidence, signal, addFact }, _plan, probe) {
    const shell = machines.get(hostKey)?.shell
    if (shell === undefined) throw new RangeError('the host cannot be reached')
    const names = flappedLinks(evidence)
    for (const name of names) {
      const set = (state: string) => ['ip', 'link', 'set', 'dev', name, state]
      const isUp = async () =>
        (await readLinks(shell, { name, signal })).some(({ flags }) => flags.includes('LOWER_UP'))
      const note = await journal.before({ kind: 'link-settings', name, up: true })
      try {
        await runChecked(shell, set('down'), { signal })
        await until(async () => !(await isUp()), { seconds: 5, signal })
      } finally {
        await runChecked(shell, set('up'))
        await journal.undone(note)
      }
      // A bridge with spanning tree listens and learns first, by default 15 s each (IEEE 802.1D).
      const forwards = async () =>
        (await isUp()) && !/state (disabled|listening|learning|blocking)/.test(await portState(name))
      if (!(await until(forwards, { seconds: 45, signal })))
        throw new VmrError('HOST_COMMAND_FAILED', `${name} does not come up again`)
    }
    addFact(`down and up again: ${names.join(', ')}`)
    await probe()

    async function portState(name: string): Promise<string> {
      if (shell === undefined) return ''
      return (await shell.run(['bridge', 'link', 'show', 'dev', name], { signal })).stdout
    }
  },
}
