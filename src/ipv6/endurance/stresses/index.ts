import type { Stress } from '../stress.ts'
import { addressLater } from './address-later.ts'
import { guestReboot } from './guest-reboot.ts'
import { idle } from './idle.ts'
import { libvirtdRestart } from './libvirtd-restart.ts'
import { linkFlap } from './link-flap.ts'
import { membershipExpiry } from './membership-expiry.ts'
import { neighbourAging } from './neighbour-aging.ts'
import { suspend } from './suspend.ts'

/** In the order in which they run: those that nobody notices first. */
export const stresses: readonly Stress[] = [
  neighbourAging,
  idle,
  membershipExpiry,
  addressLater,
  linkFlap,
  suspend,
  libvirtdRestart,
  guestReboot,
]
