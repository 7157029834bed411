import { isIPv6 } from 'node:net'
import { z } from 'zod'
import { findConfigFile } from '../config/find-config-file.ts'
import { loadYaml } from '../config/load-yaml.ts'
import { addressWithPrefixSchema, interfaceNameSchema, mtuSchema } from '../config/network-config.ts'
import { low24 } from '../domain/mac.ts'

const macSchema = z
  .string()
  .regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/, 'must be a MAC address such as 02:76:6d:72:50:01')
  .refine((mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0, 'must be a unicast MAC address')
  .transform((mac) => mac.toLowerCase())

/** What vmr makes carries its prefix, so that nothing else on the host can be taken for it. */
const ownPrefix = 'vmr'
const own = (name: string) => name.startsWith(ownPrefix)
const ownInterfaceSchema = interfaceNameSchema.refine(own, `must begin with ${ownPrefix}, since vmr makes it`)

const netnsPcShellSchema = z.strictObject({
  kind: z.literal('netns'),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be a namespace name of a-z 0-9 and hyphens')
    .refine(own, `must begin with ${ownPrefix}, since vmr makes it`),
})

const pcSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, 'must be a short name such as pc1'),
    os: z.literal('linux'),
    shell: netnsPcShellSchema,
    interface: interfaceNameSchema,
    mac: macSchema,
    addresses: z.array(addressWithPrefixSchema).min(1),
  })
  .superRefine(({ mac, addresses }, context) => {
    const ending = Number.parseInt(mac.replaceAll(':', '').slice(6), 16)
    for (const [index, address] of addresses.entries()) {
      if (isIPv6(address.split('/')[0] ?? '') && low24(address) === ending)
        context.addIssue({
          code: 'custom',
          path: ['addresses', index],
          message: 'must not end in the same 24 bits as the MAC: both would join one solicited-node group',
        })
    }
  })

const linkSchema = z.strictObject({
  uplink: ownInterfaceSchema,
  bridge: ownInterfaceSchema,
  /** Mbit/s on the wire, counted as {@link shapingArguments} does. */
  rate: z.number().int().min(1).max(100_000),
  mtu: mtuSchema.max(9000),
  dut: z.strictObject({ addresses: z.array(addressWithPrefixSchema).min(1) }),
  pc: pcSchema,
})

export const testbedSchema = z
  .strictObject({ kind: z.literal('lab'), links: z.array(linkSchema).min(1).max(8) })
  .superRefine(({ links }, context) => {
    const seen = new Map<string, string>()
    const distinct = (what: string, value: string, path: readonly PropertyKey[]) => {
      const key = `${what} ${value}`
      if (seen.has(key)) context.addIssue({ code: 'custom', path: [...path], message: `${value} is there twice` })
      seen.set(key, value)
    }
    for (const [index, { uplink, bridge, dut, pc }] of links.entries()) {
      const at = (...rest: readonly PropertyKey[]) => ['links', index, ...rest]
      distinct('host link', uplink, at('uplink'))
      distinct('host link', bridge, at('bridge'))
      distinct('pc', pc.name, at('pc', 'name'))
      distinct('namespace', pc.shell.name, at('pc', 'shell', 'name'))
      distinct('mac', pc.mac, at('pc', 'mac'))
      for (const [number, address] of [...dut.addresses, ...pc.addresses].entries()) {
        const inDut = number < dut.addresses.length
        const position = inDut ? number : number - dut.addresses.length
        distinct('address', address.split('/')[0] ?? '', at(inDut ? 'dut' : 'pc', 'addresses', position))
      }
    }
  })

/** Where measurements run: the DUT's uplinks and the PCs at their other ends. */
export type Testbed = Readonly<z.infer<typeof testbedSchema>>
export type TestbedLink = Testbed['links'][number]

/**
 * Loads a testbed by name (`lab`) or path, as findConfigFile does.
 *
 * @throws VmrError CONFIG_NOT_FOUND, CONFIG_INVALID naming file, line and field.
 */
export async function loadTestbed(nameOrPath: string): Promise<Testbed> {
  return loadYaml(await findConfigFile('testbeds', nameOrPath), testbedSchema)
}

/** The same testbed under other names, so that two of them can stand on one host. `vmr-up1` becomes `vmrt-up1`. */
export function withPrefix(testbed: Testbed, prefix: `vmr${string}`): Testbed {
  const rename = (name: string) => name.replace(/^vmr/, prefix)
  const links = testbed.links.map((link) => ({
    ...link,
    uplink: rename(link.uplink),
    bridge: rename(link.bridge),
    pc: { ...link.pc, shell: { ...link.pc.shell, name: rename(link.pc.shell.name) } },
  }))
  return testbedSchema.parse({ ...testbed, links })
}
