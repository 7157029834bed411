import type { Fault } from './fault.ts'
import { filteredSolicitation, openingFixes } from './macvtap-multicast-filter.ts'

export const macvtapFilterNotSynced: Fault = {
  id: 'macvtap-filter-not-synced',
  title: 'libvirt did not copy the guest’s new group into the macvtap’s filter',
  symptom: 'older addresses of the VM work, one that was added while libvirtd was down or busy does not',
  cause:
    'With trustGuestRxFilters="yes" libvirtd copies the guest’s groups to the macvtap when QEMU tells it of a change. A change that nobody listened to is not made up for until libvirtd starts again or the guest changes its groups once more.',
  provenBy: 'the NIC is trusted, and the filter of its macvtap lacks the group all the same',
  refutedBy: 'the group in `ip maddress show` of the macvtap',
  verify: 'start libvirtd again, then compare `ip maddress show` of the macvtap',
  prove(situation) {
    const found = filteredSolicitation(situation)
    if (found === undefined || !found.nic.trust) return undefined
    const { macvtap, group, target, hop } = found
    return {
      hop: hop.name,
      facts: [
        `${macvtap.name} belongs to a NIC with trustGuestRxFilters="yes"`,
        `its filter lacks ${group}, the group of ${target}, all the same`,
      ],
      fixes: [
        {
          what: 'start libvirtd again: it then reads the guest’s groups anew',
          price: 'none: VMs keep running',
          commands: [{ on: 'host', words: 'systemctl restart libvirtd' }],
        },
        ...openingFixes(situation.evidence.vm.name, found).slice(1),
      ],
    }
  },
}
