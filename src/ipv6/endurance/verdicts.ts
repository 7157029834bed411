import { diagnose } from '../diagnosis.ts'
import type { Evidence } from '../evidence/schema.ts'

/** `partly`: some addresses of this direction and family. `gone`: there is no address left to be probed. */
export type PathVerdict = 'works' | 'partly' | 'lost' | 'gone'

/** One direction of one family, before and after a stress. */
export interface ChangedVerdict {
  readonly family: 'ipv4' | 'ipv6'
  readonly direction: string
  readonly before: PathVerdict
  readonly after: PathVerdict
  /** "IPv6 pc1 -> r1: lost after membership expiry" */
  readonly line: string
}

const familyName = { ipv4: 'IPv4', ipv6: 'IPv6' } as const

/**
 * What became of each direction of each family. `lostUnderWay`: ids of paths that were lost before the caches were cold.
 * Pure.
 */
export function compareVerdicts(
  before: Evidence,
  after: Evidence,
  { afterWhat, lostUnderWay = [] }: { readonly afterWhat: string; readonly lostUnderWay?: readonly string[] },
): readonly ChangedVerdict[] {
  const [early, late] = [verdictsOf(before, []), verdictsOf(after, lostUnderWay)]
  return [...new Set([...early.keys(), ...late.keys()])].flatMap((key): readonly ChangedVerdict[] => {
    const [family, direction] = key.split(' ') as ['ipv4' | 'ipv6', string]
    const was = early.get(key) ?? { verdict: 'gone', broken: [] }
    const is = late.get(key) ?? { verdict: 'gone', broken: [] }
    const words = wordsOf(was, is, afterWhat)
    const line = `${familyName[family]} ${direction.replace('>', ' -> ')}: ${words}`
    return [{ family, direction, before: was.verdict, after: is.verdict, line }]
  })
}

/** Whether a stress took something away. */
export function isWorse({ before, after }: Pick<ChangedVerdict, 'before' | 'after'>): boolean {
  const order: readonly PathVerdict[] = ['works', 'partly', 'lost', 'gone']
  return order.indexOf(after) > order.indexOf(before)
}

interface Verdict {
  readonly verdict: PathVerdict
  /** Addresses that are not reached. */
  readonly broken: readonly string[]
}

function verdictsOf(evidence: Evidence, lost: readonly string[]): ReadonlyMap<string, Verdict> {
  const broken = new Set([...diagnose(evidence).broken.map(({ path }) => path.id), ...lost])
  const verdicts = new Map<string, Verdict>()
  for (const key of new Set(evidence.paths.map(({ family, direction }) => `${family} ${direction}`))) {
    const paths = evidence.paths.filter(({ family, direction }) => `${family} ${direction}` === key)
    const gone = paths.every(({ form }) => form === 'missing')
    const lostHere = paths.filter(({ id }) => broken.has(id)).map(({ to }) => to.address)
    const verdict = gone ? 'gone' : lostHere.length === 0 ? 'works' : lostHere.length < paths.length ? 'partly' : 'lost'
    verdicts.set(key, { verdict, broken: lostHere })
  }
  return verdicts
}

function wordsOf(was: Verdict, is: Verdict, afterWhat: string): string {
  if (is.verdict === 'works') return was.verdict === 'works' ? `works after ${afterWhat}` : `healed by ${afterWhat}`
  if (!isWorse({ before: was.verdict, after: is.verdict }))
    return `${is.verdict === 'partly' ? 'partly lost' : is.verdict} before and after ${afterWhat}`
  if (is.verdict === 'partly') return `${is.broken.join(', ')} lost after ${afterWhat}`
  return is.verdict === 'gone' ? `no address left after ${afterWhat}` : `lost after ${afterWhat}`
}
