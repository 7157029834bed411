import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
import type { NetworkObservation, ObservedAddress, ObservedInterface } from '../os.ts'

const name = z.string().max(64)

/** `ip -json -details address` (iproute2 ip/ipaddress.c), as far as it is read here. */
const linksSchema = z
  .array(
    z.object({
      ifindex: z.number().int(),
      ifname: name,
      flags: z.array(name).max(64),
      mtu: z.number().int(),
      master: name.optional(),
      address: name.optional(),
      promiscuity: z.number().int().optional(),
      allmulti: z.number().int().optional(),
      addr_info: z
        .array(
          z.object({
            family: name.optional(),
            local: name.optional(),
            prefixlen: z.number().int().optional(),
            scope: name.optional(),
            tentative: z.boolean().optional(),
            dadfailed: z.boolean().optional(),
          }),
        )
        .max(10_000)
        .optional(),
    }),
  )
  .max(10_000)

/** `ip -json neighbour` (iproute2 ip/ipneigh.c) */
const neighboursSchema = z
  .array(z.object({ dst: name, dev: name, lladdr: name.optional(), state: z.array(name).max(16).optional() }))
  .max(100_000)

/** What the kernel of the guest has, whatever VyOS's configuration says. */
export async function observeKernel(
  shell: Shell,
  options: { readonly signal?: AbortSignal } = {},
): Promise<NetworkObservation> {
  const links = await runChecked(shell, ['ip', '-json', '-details', 'address'], options)
  const neighbours = await runChecked(shell, ['ip', '-json', 'neighbour'], options)
  return {
    interfaces: parse(shell, 'ip address', linksSchema, links).map(toInterface),
    neighbours: parse(shell, 'ip neighbour', neighboursSchema, neighbours).map((entry) => ({
      address: entry.dst,
      interfaceName: entry.dev,
      mac: entry.lladdr,
      state: entry.state?.[0] ?? 'NONE',
    })),
  }
}

function toInterface(link: z.infer<typeof linksSchema>[number]): ObservedInterface {
  return {
    name: link.ifname,
    index: link.ifindex,
    mac: link.address,
    mtu: link.mtu,
    adminUp: link.flags.includes('UP'),
    carrier: link.flags.includes('LOWER_UP'),
    promiscuity: link.promiscuity ?? 0,
    allMulticast: link.allmulti ?? 0,
    master: link.master,
    addresses: (link.addr_info ?? []).flatMap((info): ObservedAddress[] => {
      const scope = info.scope
      if (
        info.local === undefined ||
        info.prefixlen === undefined ||
        (info.family !== 'inet' && info.family !== 'inet6')
      )
        return []
      return [
        {
          address: info.local,
          prefixLength: info.prefixlen,
          family: info.family === 'inet6' ? 'ipv6' : 'ipv4',
          scope: scope === 'link' || scope === 'host' || scope === 'site' ? scope : 'global',
          tentative: info.tentative ?? false,
          duplicate: info.dadfailed ?? false,
        },
      ]
    }),
  }
}

function parse<T>(shell: Shell, command: string, schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text === '' ? '[]' : text))
  } catch (error) {
    throw new VmrError(
      'HOST_COMMAND_FAILED',
      `${command} on ${shell.description} gave no list of the expected form: ${text.trim().slice(0, 200)}`,
      {
        cause: error,
      },
    )
  }
}
