import type { AddressForm } from '../../results/schema.ts'
import type { BenchCase, CaseSetup, Role } from './bench-case.ts'
import { bridgeCase, vlanBridgeCase } from './bridge.ts'
import { forwardCase } from './forward.ts'
import { ipip6Case, ipip6FragmentCase, ipip6LimitCase } from './ipip6.ts'
import { nicCase, secondNicCase } from './nic.ts'

const all: readonly BenchCase[] = [
  nicCase,
  secondNicCase,
  bridgeCase,
  forwardCase,
  ipip6Case,
  ipip6LimitCase,
  ipip6FragmentCase,
  vlanBridgeCase,
]

/** Every case by name. */
export const benchCases: Readonly<Record<string, BenchCase>> = Object.fromEntries(all.map((each) => [each.name, each]))

/** @throws RangeError for a name that no case has; matrices are checked before. */
export function findCase(name: string): BenchCase {
  const found = benchCases[name]
  if (found === undefined) throw new RangeError(`there is no case ${name}`)
  return found
}

/** The same set-up for a DUT that gets the measured IPv6 addresses only once all else is in use. */
export function withAddressForm(setup: CaseSetup, form: AddressForm): CaseSetup {
  const { dut } = setup.configs
  if (form !== 'added-later' || dut === undefined) return setup
  const isIpv6 = (address: string) => address.includes(':')
  const early = <Part extends { readonly addresses?: string[] | undefined }>(
    parts: Readonly<Record<string, Part>> = {},
  ) =>
    Object.fromEntries(
      Object.entries(parts).map(([name, part]) => [
        name,
        { ...part, addresses: (part.addresses ?? []).filter((address) => !isIpv6(address)) },
      ]),
    )
  const base = { ...dut, ethernets: early(dut.ethernets), bridges: early(dut.bridges) }
  const later: Readonly<Partial<Record<Role, typeof dut>>> = { dut }
  return { ...setup, configs: { ...setup.configs, dut: base }, later }
}
