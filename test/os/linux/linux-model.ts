import assert from 'node:assert/strict'
import type { LinuxBefore } from '../../../src/os/linux/render.ts'

interface Link {
  kind: string | undefined
  parent: string | undefined
  up: boolean
  mtu: number
  master: string | undefined
  readonly addresses: Set<string>
  readonly offloads: Map<string, boolean>
}

/** A fake kernel that knows just enough of `ip`, `sysctl` and `ethtool` to tell whether commands undo each other. */
export interface LinuxModel {
  apply(commands: readonly (readonly string[])[]): void
  before(): LinuxBefore
  /** Everything, comparable. */
  state(): unknown
}

export function modelOf(nics: readonly string[]): LinuxModel {
  const links = new Map<string, Link>()
  const routes = new Map<string, string>()
  const sysctls = new Map([
    ['net/ipv4/ip_forward', '0'],
    ['net/ipv6/conf/all/forwarding', '0'],
  ])
  const newLink = (kind: string | undefined, parent: string | undefined): Link => ({
    kind,
    parent,
    up: false,
    mtu: 1500,
    master: undefined,
    addresses: new Set(),
    offloads: new Map([
      ['gro', true],
      ['gso', true],
      ['sg', true],
      ['tso', true],
    ]),
  })
  for (const name of nics) links.set(name, newLink(undefined, undefined))
  const linkOf = (name: string | undefined): Link => {
    const link = links.get(name ?? '')
    assert.ok(link, `Cannot find device "${name}"`)
    return link
  }
  const after = (argv: readonly string[], word: string) => {
    const index = argv.indexOf(word)
    return index < 0 ? undefined : argv[index + 1]
  }

  const applyOne = (argv: readonly string[]) => {
    const [program, object, verb, ...rest] = argv.filter((word) => word !== '-4' && word !== '-6')
    if (program === 'sysctl') {
      const [key = '', value = ''] = (rest[0] ?? '').split('=')
      assert.ok(sysctls.has(key), key)
      sysctls.set(key, value)
    } else if (program === 'ethtool') {
      const link = linkOf(verb)
      for (let index = 0; index < rest.length; index += 2)
        link.offloads.set(rest[index] ?? '', rest[index + 1] === 'on')
    } else if (object === 'link' && verb === 'add') {
      const name = after(argv, 'name') ?? ''
      assert.ok(!links.has(name), `RTNETLINK answers: File exists: ${name}`)
      const parent = after(argv, 'link') === 'add' ? after(rest, 'link') : after(argv, 'link')
      if (parent !== undefined) linkOf(parent)
      links.set(name, newLink(after(argv, 'type'), parent))
    } else if (object === 'link' && verb === 'delete') {
      const name = after(argv, 'dev') ?? ''
      linkOf(name)
      links.delete(name)
      for (const link of links.values()) if (link.master === name) link.master = undefined
    } else if (object === 'link' && verb === 'set') {
      const link = linkOf(after(argv, 'dev'))
      const mtu = after(argv, 'mtu')
      if (mtu !== undefined) link.mtu = Number(mtu)
      const master = after(argv, 'master')
      if (master !== undefined) {
        linkOf(master)
        link.master = master
      }
      if (argv.includes('nomaster')) link.master = undefined
      if (argv.at(-1) === 'up') link.up = true
      if (argv.at(-1) === 'down') link.up = false
    } else if (object === 'address') {
      const link = linkOf(after(argv, 'dev'))
      const [address = ''] = rest
      assert.equal(link.addresses.has(address), verb === 'delete', `${argv.join(' ')}: wrong state`)
      if (verb === 'add') link.addresses.add(address)
      else link.addresses.delete(address)
    } else if (object === 'route') {
      const [to = '', ...how] = rest
      assert.equal(routes.has(to), verb === 'delete', `${argv.join(' ')}: wrong state`)
      if (verb === 'add') routes.set(to, how.join(' '))
      else routes.delete(to)
    } else assert.fail(`unknown command ${argv.join(' ')}`)
  }

  return {
    apply: (commands) => commands.forEach(applyOne),
    before: () => ({
      links: new Map(
        [...links].map(([name, link]) => [
          name,
          { ...link, addresses: new Set(link.addresses), offloads: Object.fromEntries(link.offloads) },
        ]),
      ),
      routes: new Set(
        [...routes].map(([to, how]) => (how.startsWith('via') ? `${to} ${how.split(' dev')[0]}` : `${to} ${how}`)),
      ),
      forwarding: {
        ipv4: sysctls.get('net/ipv4/ip_forward') === '1',
        ipv6: sysctls.get('net/ipv6/conf/all/forwarding') === '1',
      },
    }),
    state: () => structuredClone({ links, routes, sysctls }),
  }
}
