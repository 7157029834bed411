import assert from 'node:assert/strict'
import fc from 'fast-check'
import { answerTo, isSuccess } from '../../src/image/install-dialogue.ts'

const password = 'a password'
const text = (question: string) => {
  const answer = answerTo(question, { password })
  return answer?.kind === 'answer' ? answer.text : answer?.kind
}

/** As the scripts of VyOS print them, with what is answered. */
const dialogues: Readonly<Record<string, readonly (readonly [question: string, answer: string])[]>> = {
  '1.4': [
    ['Would you like to continue? [y/N] ', 'y'],
    ['What would you like to name this image? (Default: 1.4.1) ', ''],
    ['Please enter a password for the "vyos" user: ', password],
    ['Please confirm password for the "vyos" user: ', password],
    ['What console should be used by default? (K: KVM, S: Serial)? (Default: K) ', 'S'],
    ['Which one should be used for installation? (Default: /dev/vda) ', ''],
    ['Installation will delete all data on the drive. Continue? [y/N] ', 'y'],
    ['Would you like to use all the free space on the drive? [Y/n] ', 'y'],
    ['Which file would you like as boot config? (Default: 1) ', ''],
  ],
  'early 1.4': [
    ['What would you like to name this image? (Default: 1.4-rolling-202309240024) ', ''],
    ['Please enter a password for the "vyos" user (Default: vyos) ', password],
    ['What console should be used by default? (K: KVM, S: Serial, U: USB-Serial)? (Default: K) ', 'S'],
    ['Would you like to use all free space on the drive? [Y/n] ', 'y'],
  ],
  '1.3': [
    ['Would you like to continue? (Yes/No) [Yes]: ', 'Yes'],
    ['Partition (Auto/Parted/Skip) [Auto]: ', ''],
    ['Install the image on? [vda]:', ''],
    ['Continue? (Yes/No) [No]: ', 'Yes'],
    ['How big of a root partition should I create? (2000MB - 10737MB) [10737]MB: ', ''],
    ['What would you like to name this image? [1.3.8]: ', ''],
    ['Which one should I copy to vda? [/opt/vyatta/etc/config/config.boot]: ', ''],
    ["Enter password for user 'vyos':", password],
    ["Retype password for user 'vyos':", password],
    ['Enter vyos password:', password],
    ['Retype vyos password:', password],
    ['Which drive should GRUB modify the boot partition on? [vda]:', ''],
  ],
  'a machine with two disks': [
    ['Would you like to configure RAID-1 mirroring? [Y/n] ', 'n'],
    ['Would you like to choose two disks for RAID-1 mirroring? [Y/n] ', 'n'],
    ['Would you like to configure RAID-1 mirroring on them? (Yes/No) [Yes]:', 'No'],
    ['Would you like to use this one? (Yes/No) [Yes]:', 'No'],
    ['Would you like to copy data to the new image? [Y/n] ', 'n'],
  ],
}

describe('What `install image` asks', () => {
  for (const [release, questions] of Object.entries(dialogues))
    for (const [question, answer] of questions)
      it(`of ${release}, ${JSON.stringify(question.trim())}, gets ${JSON.stringify(answer)}`, () => {
        assert.equal(text(question), answer)
        // Nothing is answered before the question is whole.
        for (let length = 0; length < question.trimEnd().length; length += 1) {
          const begun = text(question.slice(0, length))
          assert.ok(begun === undefined || begun === 'unknown', `${question.slice(0, length)}: ${begun}`)
        }
      })

  it('is known as a secret where it is the password alone', () => {
    const secret = (question: string) => {
      const answer = answerTo(question, { password })
      return answer?.kind === 'answer' && answer.secret
    }
    for (const [question, answer] of Object.values(dialogues).flat())
      assert.equal(secret(question), answer === password, question)
  })

  it('gets no guess where the words are unknown, or show no default', () => {
    for (const question of [
      'Would you like to format the host? [Y/n] ',
      'Installation will delete all data on both drives. Continue? [y/N] ',
      'From which image would you like to save config information? (1 .. 3): ',
      'Continue (Yes/No) [No]: ',
      'What would you like to name this image? ',
      'Would you like to continue?',
    ])
      assert.equal(text(question), 'unknown', question)
  })

  it('is not what VyOS says it is doing', () => {
    for (const line of [
      'Copying system image files',
      'Probing drives:  ',
      'Creating filesystem on /dev/vda1:  ',
      'Setting up grub:  |/-',
      '[   12.345678] EXT4-fs (vda3): mounted filesystem with ordered data mode',
      'vyos@vyos:~$ ',
      '',
    ])
      assert.equal(text(line), undefined, line)
  })

  it('is never answered out of garbage', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (garbage) => {
        const answer = answerTo(garbage, { password })
        assert.ok(answer === undefined || answer.kind === 'unknown')
      }),
    )
  })
})

describe('The end of an installation', () => {
  it('is told by what only it prints', () => {
    assert.ok(isSuccess('The image installed successfully; please reboot now.'))
    assert.ok(isSuccess('Setting up grub:  |/-\\OK'))
    for (const line of [
      'Done!',
      'Exiting...',
      'Setting up grub:  Grub failed to install!',
      'Unable to install VyOS: x',
    ])
      assert.ok(!isSuccess(line), line)
  })
})
