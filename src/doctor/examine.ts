import { checkHost } from './checks/host.ts'
import { checkKernel } from './checks/kernel.ts'
import { checkKvm } from './checks/kvm.ts'
import { checkLibvirt } from './checks/libvirt.ts'
import { checkNetwork } from './checks/network.ts'
import { checkState } from './checks/state.ts'
import { checkTools } from './checks/tools.ts'
import { checkTuning } from './checks/tuning.ts'
import { checkUplinks } from './checks/uplinks.ts'
import type { Finding } from './finding.ts'
import type { HostObservation } from './observation.ts'

const checks = [
  checkHost,
  checkKvm,
  checkLibvirt,
  checkKernel,
  checkTools,
  checkNetwork,
  checkUplinks,
  checkTuning,
  checkState,
] as const

/** What is good, bad and unknown of this host, by area. */
export function examine(observation: HostObservation): readonly Finding[] {
  return checks.flatMap((check) => check(observation))
}
