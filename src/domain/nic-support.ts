import { childElements, type XmlElement } from './xml/element.ts'

/**
 * Whether libvirt's QEMU driver takes the child element on an interface attached like this one. What it refuses to define
 * (virDomainNetDefValidate, qemuValidateDomainDeviceDefNetwork), refuses to start or silently drops counts as not; each
 * was tried with libvirt 9.0. Elements not listed are taken everywhere.
 */
export function supportsChild(attached: XmlElement, child: string): boolean {
  const type = attached.attributes.type ?? ''
  const openVSwitch = isOpenVSwitch(attached)
  const hasBridge = type === 'bridge' || type === 'network'
  switch (child) {
    case 'mtu':
      // qemuDomainNetSupportsMTU
      return hasBridge || type === 'ethernet' || type === 'vhostuser'
    case 'coalesce':
      // qemuDomainNetSupportsCoalesce
      return hasBridge
    case 'port':
      return hasBridge && !openVSwitch
    case 'filterref':
      return hasBridge || type === 'ethernet'
    case 'vlan':
      // Open vSwitch, a network that tags, and SR-IOV do; elsewhere the domain does not start.
      return openVSwitch || type === 'network' || type === 'hostdev'
    case 'bandwidth':
    case 'target':
      return hasBridge || type === 'direct' || type === 'ethernet'
    case 'script':
    case 'downscript':
      return type === 'ethernet' || type === 'bridge'
    case 'backend':
      return type !== 'user'
    case 'ip':
      return type === 'user'
    case 'route':
      return false
    default:
      return true
  }
}

export function isOpenVSwitch(attached: XmlElement): boolean {
  return childElements(attached, 'virtualport').some((port) => port.attributes.type === 'openvswitch')
}
