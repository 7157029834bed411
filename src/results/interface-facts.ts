import { z } from 'zod'
import { isVmrError } from '../errors/vmr-error.ts'
import { throwIfAborted } from '../shell/abort.ts'
import type { Shell } from '../shell/shell.ts'
import type { InterfaceFacts } from './schema.ts'

const mark = '-- vmr --'
/** One command for all: on a guest's console each costs as much as all of them. busybox's sh would run its own ip. */
const script = `ip -j link show
for i in "$@"; do printf '%s\\n' "${mark}"; printf '%s\\n' "$i"; ethtool -k "$i"; ethtool -i "$i"; ethtool -g "$i"; done 2>/dev/null
true`

const linksSchema = z.array(
  z.object({
    ifname: z.string().max(64),
    address: z.string().max(100).optional(),
    mtu: z.number().int().positive().optional(),
    qdisc: z.string().max(100).optional(),
  }),
)

/** What decides over the speed of a machine's interfaces, by name. What a machine does not tell is left out. */
export async function readInterfaceFacts(
  shell: Shell,
  names: readonly string[],
  { signal }: { readonly signal: AbortSignal },
): Promise<Record<string, InterfaceFacts>> {
  try {
    const { stdout } = await shell.run(['bash', '-c', script, 'bash', ...names], { signal })
    return parseInterfaceFacts(stdout)
  } catch (error) {
    throwIfAborted(signal, `reading the interfaces of ${shell.description}`)
    if (isVmrError(error)) throw error
    return {}
  }
}

export function parseInterfaceFacts(text: string): Record<string, InterfaceFacts> {
  const [list = '', ...sections] = text.split(`${mark}\n`)
  const links = linksSchema.parse(JSON.parse(list.trim() || '[]'))
  return Object.fromEntries(
    sections.map((section) => {
      const [name = '', ...lines] = section.split('\n')
      const said = lines.join('\n')
      const link = links.find(({ ifname }) => ifname === name)
      const driver = /^driver: (\S+)$/m.exec(said)?.[1]
      const [, current = ''] = said.split('Current hardware settings:')
      const [rx, tx] = ['RX', 'TX'].map((way) => new RegExp(`^${way}:\\s+(\\d+)$`, 'm').exec(current)?.[1])
      const offloads = [...said.matchAll(/^\t?([a-z0-9-]+): on\b/gm)].flatMap(([, feature]) => feature ?? [])
      return [
        name,
        {
          ...(link?.address === undefined ? {} : { mac: link.address }),
          ...(link?.mtu === undefined ? {} : { mtu: link.mtu }),
          ...(link?.qdisc === undefined ? {} : { queueingDiscipline: link.qdisc }),
          ...(driver === undefined ? {} : { driver }),
          offloads,
          ...(rx === undefined || tx === undefined ? {} : { ring: { rx: Number(rx), tx: Number(tx) } }),
        },
      ]
    }),
  )
}
