import assert from 'node:assert/strict'
import { bootPhaseOf, classifyPrompt } from '../../../src/shell/serial/prompts.ts'

describe('console prompts', () => {
  for (const [tail, kind] of [
    ['vyos login: ', 'login'],
    ['router-1.example.net login: ', 'login'],
    ['login: ', 'login'],
    ['[   12.345678] random: crng init donevyos login: ', 'login'],
    ['Last login: ', undefined],
    ['Password: ', 'password'],
    ['My Password: ', undefined],
    ['New password: ', 'newPassword'],
    ['Current password: ', 'newPassword'],
    ['vyos@vyos:~$ ', 'shell'],
    ['vyos@vyos:/tmp> ', 'shell'],
    ['root@vyos:~# ', 'shell'],
    ['vyos@vyos(vrf:red):~$ ', 'shell'],
    ['vyos@r1.example.net:~$ ', 'shell'],
    ['vyos@vyos# ', 'configure'],
    ['vyos@vyos(ns:blue)# ', 'configure'],
    [':', 'pager'],
    ['(END)', 'pager'],
    ['lines 1-23', 'pager'],
    ['--More--', 'pager'],
    ['Display all 161 possibilities? (y or n)', 'completion'],
    ['> ', 'continuation'],
    ['vyos@vyos:~$ show', undefined],
    ['', undefined],
    [`vyos@vyos:${'a'.repeat(1000)}$ `, undefined],
  ] as const) {
    it(`takes ${JSON.stringify(tail.slice(0, 60))} for ${kind ?? 'no prompt'}`, () =>
      assert.equal(classifyPrompt(tail)?.kind, kind))
  }

  for (const [line, phase] of [
    ['SeaBIOS (version 1.16.2-debian-1.16.2-1)', 'loader'],
    ['Automatic boot in 5 seconds...', 'loader'],
    ['[    0.000000] Linux version 6.1.0-56-cloud-amd64', 'kernel'],
    ['[    1.123456] virtio_net virtio1 eth0', 'kernel'],
    ['Starting VyOS router: migrate configure.', 'configuring'],
    ['Starting VyOS router: migrate configure failed!', 'configurationFailed'],
    ['Welcome to VyOS - vyos ttyS0', undefined],
  ] as const) {
    it(`places the boot line "${line}"`, () => assert.equal(bootPhaseOf(line), phase))
  }
})
