import type { Diagnosis } from '../ipv6/diagnosis.ts'
import type { Evidence, FrameKind, PathEvidence } from '../ipv6/evidence/schema.ts'
import { frameName } from '../ipv6/hop-trace/loss.ts'
import type { CureProof } from '../ipv6/prove.ts'

const familyName = { ipv4: 'IPv4', ipv6: 'IPv6' } as const

/** Three lines that answer what, where and what to do; then why that is so. */
export function diagnosisText(
  evidence: Evidence,
  diagnosis: Diagnosis,
  proofs: ReadonlyMap<string, CureProof> = new Map(),
): string {
  return [
    ...headline(evidence, diagnosis),
    ...diagnosis.named.flatMap((named, index) => {
      const proof = proofs.get(`${named.fault.id} ${named.hop}`)
      return [
        '',
        `Cause${diagnosis.named.length > 1 ? ` ${index + 1}` : ''}: ${named.fault.title} (${named.fault.id})`,
        `  at ${named.hop}; breaks ${named.paths.join(', ')}`,
        `  ${named.fault.cause}`,
        ...named.facts.map((fact) => `  - ${fact}`),
        ...(proof === undefined ? [] : [`  ${proofLine(proof)}`]),
        ...named.fixes.flatMap((fix) => [
          `  fix: ${fix.what}`,
          ...fix.commands.map(({ on, words }) => `    on ${on}: ${words}`),
          `    price: ${fix.price}`,
        ]),
        `  verify: ${named.fault.verify}`,
      ]
    }),
    ...diagnosis.broken.flatMap(({ path, line, causes }) => [
      '',
      `${path.id}: ${line}${causes.length === 0 ? '; none of the known causes fits' : ''}`,
      ...traceLines(path),
    ]),
    ...section(
      'Works',
      evidence.paths
        .filter(({ id }) => !diagnosis.broken.some(({ path }) => path.id === id))
        .map(
          ({ id, form, probe }) =>
            `${id}${form === 'static' ? '' : ` (${form})`}${probe.rttMs === undefined ? '' : `  ${probe.rttMs} ms`}`,
        ),
    ),
    ...section('Notes', diagnosis.notes),
    ...section(
      'Not known',
      evidence.unknowns.flatMap(({ what, command }) => [what, ...(command === undefined ? [] : [`  ${command}`])]),
    ),
    '',
    `${evidence.paths.length} paths probed from cold neighbour caches in ${evidence.seconds.toFixed(1)} s; the neighbour caches on them were emptied`,
  ].join('\n')
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...lines.map((line) => `  ${line}`)]
}

function headline({ vm, paths }: Evidence, { verdict, broken, named }: Diagnosis): readonly string[] {
  if (verdict === 'unprobed')
    return [`${vm.name}: nothing could be probed, so nothing is known`, 'where: -', 'do: see what is not known below']
  if (verdict === 'healthy')
    return [`${vm.name}: healthy, ${paths.length} paths work from cold neighbour caches`, 'where: -', 'do: nothing']
  const what = (['ipv4', 'ipv6'] as const).flatMap((family) => {
    const lost = [...new Set(broken.filter(({ path }) => path.family === family).map(({ path }) => path.direction))]
    const fine = paths.filter((path) => path.family === family).length > 0
    if (lost.length > 0) return [`${familyName[family]} ${lost.join(', ')} is broken`]
    return fine ? [`${familyName[family]} works`] : []
  })
  const [first] = named
  const [worst] = broken
  const unknown = broken.filter(({ causes }) => causes.length === 0)
  const fix = first?.fixes[0]
  const command = fix?.commands[0]
  return [
    `${vm.name}: ${what.join('; ')}`,
    `where: ${first === undefined ? `${worst?.line}` : `${first.hop}: ${first.fault.title}`}${named.length > 1 ? ` (and ${named.length - 1} more)` : ''}${
      first !== undefined && unknown.length > 0 ? `; ${unknown.length} more losses of unknown cause` : ''
    }`,
    fix === undefined
      ? 'do: no known cause fits; look at the hop above, and see the evidence below'
      : `do: ${fix.what}${command === undefined ? '' : ` (on ${command.on}: ${command.words})`}`,
  ]
}

const order: readonly FrameKind[] = ['request', 'answer', 'echo', 'reverse-request', 'reverse-answer', 'reply', 'error']

/** Hop by hop, like traceroute: which frame was seen how often, and what was never seen. */
function traceLines(path: PathEvidence): readonly string[] {
  const { trace } = path
  if (trace === undefined) return []
  const kinds = order.filter((kind) => trace.sightings.some((each) => each.kind === kind))
  const width = Math.max(...path.hops.map(({ name }) => name.length), 1)
  return [
    ...path.hops.map((hop, index) => {
      const seen = kinds.flatMap((kind) => {
        const found = trace.sightings.find(
          (each) => each.hop === hop.name && each.segment === hop.segment && each.kind === kind,
        )
        return [`${found?.count ?? 0}x ${frameName(path.family, kind)}`]
      })
      const words = trace.unwatched.includes(hop.name) ? 'not watched' : seen.join(', ') || 'nothing'
      return `  ${String(index + 1).padStart(2)}  ${hop.name.padEnd(width)}  ${words}`
    }),
    ...new Set(
      trace.sightings.filter(({ kind }) => kind === 'error').flatMap(({ says }) => says.map((word) => `      ${word}`)),
    ),
  ]
}

function proofLine({ broken, healed, brokenAgain, change }: CureProof): string {
  const word = (works: boolean) => (works ? 'works' : 'broken')
  const line = `${word(!broken)} - ${word(healed)} - ${word(!brokenAgain)}`
  return broken && healed && brokenAgain
    ? `proven by its cure: ${line} (${change})`
    : `not proven by its cure: ${line} (${change})`
}
