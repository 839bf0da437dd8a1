import { expect, test } from 'vitest';
import { isInternal, isLoopback, mayCarrySecrets } from '../../build/registry/address.ts';

test.each(['127.0.0.1', '127.8.9.1:80', 'localhost', 'localhost:5000', '[::1]', '[::1]:5000'])(
  '%s is this machine',
  (host) => {
    expect([isLoopback(host), isInternal(host), mayCarrySecrets(new URL(`http://${host}/`))]).toEqual([
      true,
      true,
      true,
    ]);
  },
);

test.each([
  '169.254.169.254',
  '10.1.2.3:443',
  '172.16.0.1',
  '172.31.255.1',
  '192.168.1.1',
  '100.64.0.1',
  '0.0.0.0',
  '[fd00::1]',
  '[fe80::1]:443',
  '[::ffff:169.254.169.254]',
  '[::]',
])('%s is inside of a network, and not this machine', (host) => {
  expect([isLoopback(host), isInternal(host), mayCarrySecrets(new URL(`http://${host}/`))]).toEqual([
    false,
    true,
    false,
  ]);
});

test.each([
  'registry.example',
  '8.8.8.8',
  '172.32.0.1',
  '100.128.0.1',
  '[2600::1]',
  '127.evil.example',
  'localhost.evil.example',
])('%s is outside', (host) => {
  expect([isLoopback(host), isInternal(host)]).toEqual([false, false]);
  expect(mayCarrySecrets(new URL(`http://${host}/`))).toBe(false);
  expect(mayCarrySecrets(new URL(`https://${host}/`))).toBe(true);
});
