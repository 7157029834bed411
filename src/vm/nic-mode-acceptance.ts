import { nicElement } from '../domain/nic-element.ts'
import { type NicMode, sourceAttribute } from '../domain/nic-modes.ts'
import { buildXml } from '../domain/xml/build.ts'
import { element } from '../domain/xml/element.ts'
import { type Connection, hasCode, LibvirtError } from '../libvirt/index.ts'
import { libvirtFailure } from './libvirt-failure.ts'

/** Whether a libvirt takes the XML of a mode. */
export type ModeAcceptance =
  | { readonly kind: 'accepted' }
  /** In libvirt's own words. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unknown' }

/**
 * Asks libvirt for the QEMU command line of a domain with such a NIC: nothing is defined, and nothing need stand on the
 * host. Builds of one version differ: Debian 12's 9.0 lacks passt, which 9.0 has.
 *
 * @throws VmrError LIBVIRT_SILENT when the connection is lost.
 */
export async function askAcceptance(
  connection: Connection,
  mode: NicMode,
  signal: AbortSignal,
): Promise<ModeAcceptance> {
  const source = sourceAttribute(mode.element.attributes.type) === undefined ? undefined : 'vmr-asked'
  const domain = element('domain', { type: 'qemu' }, [
    element('name', {}, ['vmr-asked']),
    element('memory', { unit: 'MiB' }, ['64']),
    element('os', {}, [element('type', { arch: 'x86_64', machine: 'q35' }, ['hvm'])]),
    element('devices', {}, [nicElement({ mode, mac: '52:54:00:00:00:01', source })]),
  ])
  try {
    await connection.domainXmlToNative('qemu-argv', buildXml(domain), { signal })
    return { kind: 'accepted' }
  } catch (error) {
    if (!(error instanceof LibvirtError)) throw libvirtFailure(`asking libvirt about ${mode.name}`, error)
    const aboutTheXml = (
      ['VIR_ERR_XML_ERROR', 'VIR_ERR_XML_DETAIL', 'VIR_ERR_CONFIG_UNSUPPORTED', 'VIR_ERR_INVALID_ARG'] as const
    ).some((code) => hasCode(error, code))
    return aboutTheXml ? { kind: 'refused', reason: error.message } : { kind: 'unknown' }
  }
}
