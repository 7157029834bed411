import { type DomainFacts, readDomainFacts } from '../domain/domain-facts.ts'
import { hasNotes } from '../domain/moved-domain.ts'
import { buildXml } from '../domain/xml/build.ts'
import { firstChild } from '../domain/xml/element.ts'
import { parseXml, type XmlSource, xmlError } from '../domain/xml/parse.ts'
import { xmlDiff } from '../domain/xml-diff.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { Connection } from '../libvirt/index.ts'
import type { Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'

/** What becomes of a VM's definition. */
export interface Edit {
  readonly xml: string
  /** Unified; '' where nothing changes. */
  readonly diff: string
}

/** The definition as a person edits it. */
export async function definitionText(connection: Connection, { domain }: Vm, signal: AbortSignal): Promise<string> {
  const xml = await withLibvirt(`reading the XML of ${domain.name}`, () =>
    connection.domainXml(domain, { inactive: true, secure: true, signal }),
  )
  return buildXml(readDomainFacts(xml).element)
}

/**
 * Checks an edited definition as far as libvirt does not. Pure.
 *
 * @param file what messages call the text.
 * @throws VmrError CONFIG_INVALID with file, line and column.
 */
export function planEdit(before: DomainFacts, text: string, file: string): Edit {
  const source: XmlSource = { name: file, code: 'CONFIG_INVALID' }
  const after = parseXml(text, source)
  if (after.name !== 'domain') throw xmlError(source, after, `expected <domain>, found <${after.name}>`)
  for (const field of ['name', 'uuid'] as const) {
    const was = firstChild(before.element, field)
    const is = firstChild(after, field)
    if (is === undefined || was === undefined || buildXml(is) !== buildXml(was))
      throw xmlError(
        source,
        is ?? after,
        `<${field}> must stay as it was; see also \`vmr vm rename\` and \`vmr vm clone\``,
      )
  }
  if (!hasNotes(after))
    throw xmlError(source, firstChild(after, 'metadata') ?? after, 'vmr’s own element in <metadata> must stay')
  const { name } = before
  return { xml: buildXml(after), diff: xmlDiff(before.element, after, { from: `${name} before`, to: `${name} after` }) }
}

/** @throws VmrError CONFIG_INVALID in libvirt's words, for XML that it refuses. */
export async function defineEdited(
  connection: Connection,
  { xml }: Edit,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await withLibvirt(file, () => connection.defineDomain(xml, { validate: true, signal }))
  } catch (error) {
    if (!(error instanceof VmrError) || error.code !== 'LIBVIRT_FAILED') throw error
    throw new VmrError('CONFIG_INVALID', error.message, { hint: 'Correct it and try again.', cause: error })
  }
}
