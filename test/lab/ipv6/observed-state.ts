import { readMachineState } from '../../../src/ipv6/evidence/machine-state.ts'
import { localShell } from '../../../src/shell/local.ts'
import type { RunningVm } from '../vm/running-vm.ts'

/** What a diagnosis must leave as it was: links with their flags, addresses, groups, routes, sysctls and firewalls of all machines. */
export async function observedState({ guest, pcs }: RunningVm): Promise<readonly unknown[]> {
  const machines = [localShell, guest, ...pcs.map(({ shell }) => shell)]
  const states = await Promise.all(machines.map((shell) => readMachineState(shell)))
  return states.map(({ links, routes, groups, sysctls, firewall }) => ({
    ...{ links, routes, groups, sysctls },
    // Its rules, not what they have counted meanwhile.
    firewall: JSON.stringify(firewall ?? null).replaceAll(/(packets|bytes)\W+\d+/g, '$1'),
  }))
}
