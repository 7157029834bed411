import type { Finding } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

const groupReadWrite = 0o060

export function checkKvm({ kvm: { device, gid, testBoot } }: HostObservation): Finding[] {
  if (device === undefined)
    return [
      {
        area: 'kvm',
        subject: '/dev/kvm',
        level: 'warn',
        message: 'is not there: guests are emulated in software (TCG), and slow',
        hint: 'Switch virtualisation on in the firmware and load kvm_intel or kvm_amd.',
      },
    ]
  return [deviceRights(device, gid), boots(testBoot)]
}

function deviceRights(device: { readonly mode: number; readonly gid: number }, gid: number | undefined): Finding {
  const subject = '/dev/kvm'
  if (gid === undefined)
    return { area: 'kvm', subject, level: 'skip', message: 'there is no group kvm: libvirt is not installed' }
  if (device.gid === gid && (device.mode & groupReadWrite) === groupReadWrite)
    return { area: 'kvm', subject, level: 'pass', message: 'is open to group kvm' }
  return {
    area: 'kvm',
    subject,
    level: 'fail',
    // libvirt probes QEMU as libvirt-qemu, and throws its cached capabilities away at each start when KVM seems usable
    // to root and not to QEMU: 12 probes, 64 s instead of 0.4 s, measured with libvirt 9.0.
    message: 'is closed to group kvm: libvirt probes QEMU anew at every start of a VM, which takes a minute',
    hint: 'Open it as udev does: chgrp kvm /dev/kvm && chmod 660 /dev/kvm',
    fix: {
      words: 'give /dev/kvm to group kvm with mode 660',
      commands: [
        ['chgrp', 'kvm', '/dev/kvm'],
        ['chmod', '660', '/dev/kvm'],
      ],
    },
  }
}

function boots(testBoot: { readonly works: boolean; readonly reason: string } | undefined): Finding {
  const subject = 'test boot'
  if (testBoot === undefined)
    return {
      area: 'kvm',
      subject,
      level: 'skip',
      message: 'not made: there is no guest image yet',
      hint: 'Build one: vmr image build lab',
    }
  if (testBoot.works) return { area: 'kvm', subject, level: 'pass', message: testBoot.reason }
  return {
    area: 'kvm',
    subject,
    level: 'warn',
    message: `KVM does not boot a guest: ${testBoot.reason}; guests are emulated in software (TCG)`,
    hint: 'In a VM, ask its host for nested virtualisation. Reachability can be measured all the same; speed is the emulator’s.',
  }
}
