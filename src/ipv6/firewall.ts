import { BlockList, isIP } from 'node:net'
import type { FirewallChain, FrameKind } from './evidence/schema.ts'

type FilteredKind = FrameKind | 'router-advertisement'

/** A frame as a ruleset sees it. What is undefined is not known, or the frame has none. */
export interface FilteredFrame {
  readonly family: 'ipv4' | 'ipv6'
  readonly kind: FilteredKind
  readonly source?: string | undefined
  readonly destination?: string | undefined
  readonly inbound?: string | undefined
  readonly outbound?: string | undefined
}

export interface Drop {
  readonly chain: FirewallChain
  /** The rule that dropped it; undefined for the chain's policy. */
  readonly rule: string | undefined
}

type Outcome =
  | { readonly kind: 'accept' | 'unknown' | 'return' }
  | { readonly kind: 'drop'; readonly rule: string | undefined }
type Truth = boolean | undefined

const icmpv6Types: Readonly<Record<FilteredKind, readonly [number, string] | undefined>> = {
  request: [135, 'nd-neighbor-solicit'],
  'reverse-request': [135, 'nd-neighbor-solicit'],
  answer: [136, 'nd-neighbor-advert'],
  'reverse-answer': [136, 'nd-neighbor-advert'],
  echo: [128, 'echo-request'],
  reply: [129, 'echo-reply'],
  'router-advertisement': [134, 'nd-router-advert'],
  error: undefined,
}
const icmpTypes: Readonly<Partial<Record<FilteredKind, readonly [number, string]>>> = {
  echo: [8, 'echo-request'],
  reply: [0, 'echo-reply'],
}

const isNeighbour = (kind: FilteredKind) => /request|answer|advertisement/.test(kind)

/**
 * Which rule of a hook drops the frame for certain, as far as nftables' semantics can be told from the listing alone
 * (nft(8): base chains by priority; accept ends a chain, drop ends everything). A rule that hangs on what is not
 * understood here makes the outcome unknown, and unknown is no drop. Pure.
 */
export function findDrop(
  chains: readonly FirewallChain[],
  at: { readonly families: readonly string[]; readonly hook: string; readonly device?: string },
  frame: FilteredFrame,
): Drop | undefined {
  const bases = chains
    .filter(
      ({ hook, family, device }) =>
        hook === at.hook &&
        at.families.includes(family) &&
        (at.device === undefined || device?.split(' ').includes(at.device) === true),
    )
    .toSorted((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
  for (const chain of bases) {
    const outcome = runChain(chain, chains, frame, 0)
    if (outcome.kind === 'drop') return { chain, rule: outcome.rule }
    if (outcome.kind === 'return' && chain.policy === 'drop') return { chain, rule: undefined }
  }
  return undefined
}

function runChain(
  chain: FirewallChain,
  chains: readonly FirewallChain[],
  frame: FilteredFrame,
  depth: number,
): Outcome {
  if (depth > 16) return { kind: 'unknown' }
  const policy: Outcome =
    chain.hook === undefined
      ? { kind: 'return' }
      : chain.policy === 'drop'
        ? { kind: 'drop', rule: undefined }
        : { kind: 'accept' }
  const from = (index: number): Outcome => {
    const rule = chain.rules[index]
    if (rule === undefined) return policy
    const truth = allOf(rule.expressions.map((expression) => isMatched(expression, frame)))
    if (truth === false) return from(index + 1)
    const verdict = verdictOf(rule, chain, chains, frame, depth)
    const matched =
      verdict === undefined
        ? from(index + 1)
        : verdict.kind === 'return' && 'jump' in verdict
          ? from(index + 1)
          : verdict
    if (truth === true) return matched
    const otherwise = from(index + 1)
    return matched.kind === otherwise.kind ? otherwise : { kind: 'unknown' }
  }
  return from(0)
}

function verdictOf(
  rule: FirewallChain['rules'][number],
  chain: FirewallChain,
  chains: readonly FirewallChain[],
  frame: FilteredFrame,
  depth: number,
): Outcome | (Outcome & { readonly jump: true }) | undefined {
  for (const expression of rule.expressions) {
    if (!isRecord(expression)) continue
    if ('drop' in expression || 'reject' in expression) return { kind: 'drop', rule: describe(rule) }
    if ('accept' in expression) return { kind: 'accept' }
    if ('queue' in expression || 'vmap' in expression) return { kind: 'unknown' }
    // iptables' own matches only restrict; its targets may do anything.
    if ('xt' in expression && !(isRecord(expression.xt) && expression.xt.type === 'match')) return { kind: 'unknown' }
    if ('return' in expression) return { kind: 'return' }
    const jump = 'jump' in expression ? expression.jump : 'goto' in expression ? expression.goto : undefined
    if (isRecord(jump)) {
      const target = chains.find(
        ({ family, table, name }) => family === chain.family && table === chain.table && name === jump.target,
      )
      if (target === undefined) return { kind: 'unknown' }
      const outcome = runChain(target, chains, frame, depth + 1)
      if (outcome.kind !== 'return') return outcome
      return 'jump' in expression ? { kind: 'return', jump: true } : undefined
    }
  }
  return undefined
}

function describe({ text, handle }: FirewallChain['rules'][number]): string {
  return `${text.slice(0, 200)} (handle ${handle})`
}

function allOf(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false
  return truths.includes(undefined) ? undefined : true
}

/** Statements that neither match nor decide. */
const neutral = new Set(['counter', 'log', 'comment', 'drop', 'accept', 'reject', 'return', 'jump', 'goto', 'notrack'])

function isMatched(expression: unknown, frame: FilteredFrame): Truth {
  if (!isRecord(expression)) return undefined
  const [name] = Object.keys(expression)
  if (name === undefined || neutral.has(name)) return true
  if (name !== 'match' || !isRecord(expression.match)) return undefined
  const { op, left, right } = expression.match
  const values = valuesOf(left, frame)
  if (values === 'absent') return op === '!='
  if (values === undefined) return undefined
  const equal = isIn(values, right)
  if (equal === undefined) return undefined
  return op === '==' || op === 'in' ? equal : op === '!=' ? !equal : undefined
}

/** What a frame has for the left side of a match, by each name that nft prints for it. */
function valuesOf(left: unknown, frame: FilteredFrame): readonly (string | number)[] | 'absent' | undefined {
  if (!isRecord(left)) return undefined
  const { family, kind } = frame
  const isArp = family === 'ipv4' && isNeighbour(kind)
  if (isRecord(left.meta)) {
    switch (left.meta.key) {
      case 'nfproto':
        return [family, family === 'ipv4' ? 2 : 10]
      case 'protocol':
        return isArp ? ['arp', 0x806] : family === 'ipv4' ? ['ip', 0x800] : ['ip6', 0x86dd]
      case 'l4proto':
        return isArp ? 'absent' : family === 'ipv4' ? ['icmp', 1] : ['ipv6-icmp', 'icmpv6', 58]
      case 'iifname':
      case 'iif':
        return frame.inbound === undefined ? undefined : [frame.inbound]
      case 'oifname':
      case 'oif':
        return frame.outbound === undefined ? undefined : [frame.outbound]
      default:
        return undefined
    }
  }
  if (isRecord(left.ct) && left.ct.key === 'state') {
    // ND is never tracked (net/netfilter/nf_conntrack_proto_icmpv6.c, noct_valid_new).
    if (family === 'ipv6' && isNeighbour(kind)) return ['untracked']
    return kind === 'echo' ? ['new'] : kind === 'reply' ? ['established'] : undefined
  }
  if (!isRecord(left.payload)) return undefined
  const { protocol, field } = left.payload
  const of = (wanted: boolean, values: readonly (string | number | undefined)[]) => {
    if (!wanted) return 'absent' as const
    const known = values.flatMap((value) => (value === undefined ? [] : [value]))
    return known.length === 0 ? undefined : known
  }
  switch (`${protocol} ${field}`) {
    case 'icmpv6 type':
      return of(family === 'ipv6', icmpv6Types[kind] ?? [])
    case 'icmp type':
      return of(family === 'ipv4' && !isArp, icmpTypes[kind] ?? [])
    case 'ip6 nexthdr':
      return of(family === 'ipv6', ['ipv6-icmp', 'icmpv6', 58])
    case 'ip protocol':
      return of(family === 'ipv4' && !isArp, ['icmp', 1])
    case 'ip6 saddr':
      return of(family === 'ipv6', [frame.source])
    case 'ip6 daddr':
      return of(family === 'ipv6', [isNeighbour(kind) ? undefined : frame.destination])
    case 'ip6 hoplimit':
      return of(family === 'ipv6', [isNeighbour(kind) ? 255 : undefined])
    case 'ip saddr':
      return of(family === 'ipv4' && !isArp, [frame.source])
    case 'ip daddr':
      return of(family === 'ipv4' && !isArp, [frame.destination])
    case 'ether type':
      return isArp ? ['arp', 0x806] : family === 'ipv4' ? ['ip', 0x800] : ['ip6', 0x86dd]
    case 'arp operation':
      return of(isArp, /answer/.test(kind) ? ['reply', 2] : ['request', 1])
    case 'tcp dport':
    case 'tcp sport':
    case 'udp dport':
    case 'udp sport':
      return 'absent'
    default:
      return undefined
  }
}

function isIn(values: readonly (string | number)[], right: unknown): Truth {
  if (typeof right === 'string' || typeof right === 'number') {
    if (values.includes(right)) return true
    if (typeof right !== 'string') return false
    if (right.startsWith('@') || right.startsWith('$')) return undefined
    // nft(8): an interface name may end in an asterisk.
    if (right.endsWith('*')) return values.some((value) => String(value).startsWith(right.slice(0, -1)))
    return false
  }
  if (Array.isArray(right)) return anyOf(right.map((each) => isIn(values, each)))
  if (!isRecord(right)) return undefined
  if (Array.isArray(right.set)) return anyOf(right.set.map((each) => isIn(values, each)))
  if (isRecord(right.prefix)) {
    const { addr, len } = right.prefix
    const [value] = values
    if (typeof addr !== 'string' || typeof len !== 'number' || typeof value !== 'string' || isIP(value) === 0)
      return undefined
    try {
      const subnet = new BlockList()
      const family = isIP(addr) === 6 ? 'ipv6' : 'ipv4'
      subnet.addSubnet(addr, len, family)
      return subnet.check(value, family)
    } catch {
      return undefined
    }
  }
  if (Array.isArray(right.range)) {
    const [low, high] = right.range
    const number = values.find((value) => typeof value === 'number')
    if (typeof low !== 'number' || typeof high !== 'number' || typeof number !== 'number') return undefined
    return number >= low && number <= high
  }
  return undefined
}

function anyOf(truths: readonly Truth[]): Truth {
  if (truths.includes(true)) return true
  return truths.includes(undefined) ? undefined : false
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
