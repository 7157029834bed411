import assert from 'node:assert/strict'
import { runInstaller } from '../../src/image/run-installer.ts'
import { attachConsole } from '../../src/shell/serial/console.ts'
import { type FakeGuest, fakeGuest } from '../shell/serial/fake-guest.ts'

/** A fake: what it says after each line that is typed, the first after `install image`. */
type Script = readonly string[]

const prompt = 'vyos@vyos:~$ '
const done14 = 'Copying system image files\r\nThe image installed successfully; please reboot now.\r\n'

/** Both installers in short, with the lines between the questions. */
const version14: Script = [
  'Welcome to VyOS installation!\r\nThis command will install VyOS to your permanent storage.\r\nWould you like to continue? [y/N] ',
  'What would you like to name this image? (Default: 1.4.1) ',
  'Please enter a password for the "vyos" user: ',
  '\r\nPlease confirm password for the "vyos" user: ',
  '\r\nWhat console should be used by default? (K: KVM, S: Serial)? (Default: K) ',
  'Probing disks\r\n1 disk(s) found\r\nWhich one should be used for installation? (Default: /dev/vda) ',
  'Installation will delete all data on the drive. Continue? [y/N] ',
  'Would you like to use all the free space on the drive? [Y/n] ',
  'Creating partition table...\r\n\t1: /opt/vyatta/etc/config/config.boot\r\nWhich file would you like as boot config? (Default: 1) ',
  `${done14}${prompt}`,
]
const version13: Script = [
  'Would you like to continue? (Yes/No) [Yes]: ',
  'Probing drives:  |\b/\b OK\r\nPartition (Auto/Parted/Skip) [Auto]: ',
  '\r\n vda\t10737MB\r\n\r\nInstall the image on? [vda]:',
  'This will destroy all data on /dev/vda.\r\nContinue? (Yes/No) [No]: ',
  'How big of a root partition should I create? (2000MB - 10737MB) [10737]MB: ',
  'Creating filesystem on /dev/vda1:  |\b/\bOK\r\nDone!\r\nWhat would you like to name this image? [1.3.8]: ',
  'OK.  This image will be named: 1.3.8\r\nWhich one should I copy to vda? [/opt/vyatta/etc/config/config.boot]: ',
  "Enter password for administrator account\r\nEnter password for user 'vyos':",
  "\r\nRetype password for user 'vyos':",
  '\r\nWhich drive should GRUB modify the boot partition on? [vda]:',
  `Setting up grub:  |\b/\bOK\r\nDone!\r\n${prompt}`,
]
const answers14 = ['install image', 'y', '', 'secret', 'secret', 'S', '', 'y', 'y', '']
const answers13 = ['install image', 'Yes', '', '', 'Yes', '', '', '', 'secret', 'secret', '']

/** Runs the installer against a script; a step is said when the line before it has come. */
async function against(script: Script, onStep?: (guest: FakeGuest, typed: string) => boolean) {
  let step = 0
  const guest = fakeGuest((typed, self) => {
    if (onStep?.(self, typed) === true) return
    // What is typed comes back, but for a password.
    self.says(`${typed.startsWith('secret') ? '' : typed.trimEnd()}\r\n`)
    self.says(script[step] ?? '')
    step += 1
  })
  const console = attachConsole(guest.stream, { description: 'serial console of a fake' })
  const progress: string[] = []
  const options = {
    password: 'secret',
    timeoutMs: 20_000,
    questionMs: 400,
    settleMs: 20,
    signal: new AbortController().signal,
  }
  try {
    await runInstaller(console, { ...options, onProgress: (line) => progress.push(line) })
    return { typed: guest.typed().split('\r').slice(0, -1), progress }
  } finally {
    console.detach()
  }
}

describe('Driving `install image`', function () {
  this.timeout(20_000)

  it('answers what VyOS 1.4 asks', async () => {
    const { typed, progress } = await against(version14)
    assert.deepEqual(typed, answers14)
    assert.ok(progress.includes('Copying system image files'))
  })

  it('answers what VyOS 1.3 asks', async () => {
    assert.deepEqual((await against(version13)).typed, answers13)
  })

  it('answers the same questions in another order, and one of two disks', async () => {
    const raid = 'Would you like to configure RAID-1 mirroring? [Y/n] '
    const [first = '', name = '', enter = '', confirm = '', console = '', ...rest] = version14
    const { typed } = await against([first, console, raid, name, enter, confirm, ...rest])
    assert.deepEqual(typed, ['install image', 'y', 'S', 'n', '', 'secret', 'secret', '', 'y', 'y', ''])
  })

  it('is not led astray by messages of the kernel in the middle of a question', async () => {
    const script = version14.map((said) =>
      said.replace('Continue? [y/N] ', 'Continue? [y/N] [  101.123456] EXT4-fs (vda3): mounted filesystem\r\n'),
    )
    assert.deepEqual((await against(script)).typed, answers14)
  })

  it('types again what got lost on the way', async () => {
    let lost = false
    const { typed } = await against(version14, (_guest, text) => {
      if (lost || text !== 'S\r') return false
      lost = true
      return true
    })
    assert.deepEqual(typed, answers14.toSpliced(5, 0, 'S'))
  })

  it('ends with VyOS’s own words where no disk is large enough', async () => {
    const refusal =
      'Probing disks\r\nNo suitable disk was found. There must be at least one disk of 2GB or greater size.\r\nExiting from VyOS installation\r\n'
    await assert.rejects(against([...version14.slice(0, 5), `${refusal}${prompt}`]), {
      code: 'IMAGE_INSTALL_FAILED',
      message: /without having installed:.*No suitable disk was found\. There must be at least one disk of 2GB/s,
    })
  })

  it('ends at a question that it does not know, and types nothing there', async () => {
    const odd = 'Would you like to encrypt the configuration with the TPM? [Y/n] '
    await assert.rejects(against([...version14.slice(0, 3), `\r\n${odd}`]), {
      code: 'IMAGE_INSTALL_FAILED',
      message: /asks what vmr has no answer to: "Would you like to encrypt the configuration with the TPM\? \[Y\/n\]"/,
    })
  })

  it('ends where an answer is not taken', async () => {
    const again = 'Invalid value, try again.\r\nWhich one should be used for installation? (Default: /dev/vda) '
    await assert.rejects(against([...version14.slice(0, 5), again, again, again, again]), {
      code: 'IMAGE_INSTALL_FAILED',
      message: /does not take the answer to "Which one should be used for installation\? /,
    })
  })

  it('ends where the guest starts again or its console goes', async () => {
    await assert.rejects(against([...version14.slice(0, 2), '\r\nvyos login: ']), {
      code: 'IMAGE_INSTALL_FAILED',
      message: /left the installation/,
    })
    const gone = against(version14, (guest, typed) => {
      if (typed !== 'y\r') return false
      guest.ends()
      return true
    })
    await assert.rejects(gone, { code: 'GUEST_CONSOLE_LOST' })
  })
})
