import { VmrError } from '../../../errors/vmr-error.ts'
import { parseConfigBoot } from '../../../os/vyos/config-boot.ts'
import { keyOf, type VyosPath } from '../../../os/vyos/path.ts'
import { changeConfiguration, readConfiguration } from '../../../os/vyos/transaction.ts'
import { runChecked, type Shell } from '../../../shell/shell.ts'
import { withLibvirt } from '../../../vm/libvirt-failure.ts'
import { guestKey } from '../../evidence/topology.ts'
import type { Stress, StressBench } from '../stress.ts'

/** From the request to the reset: a guest ends its services first. */
const shutdownMs = 120_000
/** VyOS without KVM loads its configuration for minutes. */
const bootTimeoutMs = 1_200_000

export const guestReboot: Stress = {
  name: 'guest-reboot',
  after: 'a restart of the guest',
  what: 'restarts the guest; what somebody set in it and did not save is gone then',
  disturbs: (name) => `${name} is restarted`,
  limitSeconds: (shutdownMs + bootTimeoutMs) / 1000 + 120,
  plan({ machines }) {
    return Object.hasOwn(machines, guestKey) ? { timers: [] } : { impossible: 'nobody is logged in to the guest' }
  },
  async run(bench, _plan, probe) {
    const { signal, os, addFact, refuse } = bench
    const before = await readConfiguration(guestOf(bench), signal)
    // Of the lab router nothing outlasts a restart, as it has no disk: vmr gives it back what it had.
    const volatile = os === 'lab-router'
    if (!volatile) {
      const unsaved = await unsavedIn(guestOf(bench), before, signal)
      if (unsaved > 0) return refuse(`the restart would lose ${unsaved} settings of the guest that are not saved`)
    }
    await reboot(bench)
    await bench.reachAgain({ bootTimeoutMs })
    if (volatile) {
      const shell = guestOf(bench)
      const now = await readConfiguration(shell)
      const known = new Set(now.map(keyOf))
      const missing = before.filter((path) => !known.has(keyOf(path)))
      const changes = missing.map((path) => ({ kind: 'set' as const, path, single: false, objects: [] }))
      await changeConfiguration(shell, now, changes)
      addFact(`the lab router has no disk: vmr gave it its ${missing.length} settings again`)
    }
    await probe()
  },
}

function guestOf({ machines }: StressBench): Shell {
  const guest = machines.get(guestKey)
  if (guest === undefined) throw new VmrError('GUEST_CONSOLE_LOST', 'the guest cannot be reached any more')
  return guest.shell
}

/** How many settings are active and not in the file that the guest boots with, or the other way round. */
async function unsavedIn(shell: Shell, active: readonly VyosPath[], signal: AbortSignal): Promise<number> {
  const saved = parseConfigBoot(await runChecked(shell, ['cat', '/config/config.boot'], { signal }))
  const [one, other] = [active, saved].map((paths) => new Set(paths.map(keyOf)))
  const differing = [...(one ?? [])].filter((key) => other?.has(key) !== true).length
  return differing + [...(other ?? [])].filter((key) => one?.has(key) !== true).length
}

/** Returns once the machine was reset: until then its old console answers. */
async function reboot({ connection, domain, name, signal, letGo, onProgress }: StressBench): Promise<void> {
  const over = AbortSignal.timeout(shutdownMs)
  const events = await withLibvirt(`listening for events of ${name}`, () =>
    connection.domainEvents({ kinds: ['reboot'], domain, signal: AbortSignal.any([signal, over]) }),
  )
  try {
    onProgress('restarting the guest')
    await withLibvirt(`rebooting ${name}`, () => connection.rebootDomain(domain, { signal }))
    await withLibvirt(`waiting for ${name} to restart`, async () => {
      for await (const _event of events) return
    })
    await letGo()
  } finally {
    await events.return().catch(() => undefined)
  }
}
