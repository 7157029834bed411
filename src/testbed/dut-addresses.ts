import { type NetworkConfig, networkConfigSchema } from '../config/network-config.ts'
import type { Testbed } from './testbed.ts'

/** What the testbed says that the DUT has on each of its links, for a DUT of so many NICs. */
export function dutAddresses({ links }: Testbed, nics: number): NetworkConfig {
  const ethernets = links
    .slice(0, nics)
    .map(({ dut }, position) => [`eth${position}`, { addresses: [...dut.addresses] }] as const)
  return networkConfigSchema.parse({ ethernets: Object.fromEntries(ethernets) })
}
