;; What all guests share: the imports of the contract, a description, and answers.
;; A guest's own data starts at 1024, and what the host hands over at 4096.

(import "portcullis:policy/certificates@1.0.0" "[method]certificate.subject" (func $subject (param i32 i32)))
(import "portcullis:policy/crypto@1.0.0" "verify-signature"
  (func $verify (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "portcullis:policy/handshakes@1.0.0" "[method]handshake.chain" (func $chain (param i32 i32)))
(import "portcullis:policy/handshakes@1.0.0" "[method]handshake.peer-address" (func $peer_address (param i32 i32)))
(import "portcullis:policy/handshakes@1.0.0" "[method]handshake.server-name" (func $server_name (param i32 i32)))
(import "portcullis:policy/handshakes@1.0.0" "[method]handshake.time" (func $time (param i32) (result i64)))
(import "portcullis:policy/handshakes@1.0.0" "[resource-drop]handshake" (func $drop_handshake (param i32)))
(import "portcullis:policy/log@1.0.0" "message" (func $log (param i32 i32 i32 i32)))

;; At 16 the description: name, version, summary, schema of the settings, assets, codes; each an address and a length.
(data (i32.const 16)
  "\00\01\00\00\05\00\00\00" "\08\01\00\00\05\00\00\00" "\10\01\00\00\05\00\00\00"
  "\18\01\00\00\02\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00")
(data (i32.const 256) "guest\00\00\00" "1.0.0\00\00\00" "guest\00\00\00" "{}")
(func (export "describe") (result i32) (i32.const 16))

;; At 64, zeros: `configure` went well. At 80, zeros: accepted, with no principal, attribute or time.
(func $configured (result i32) (i32.const 64))
(func $accept (result i32) (i32.const 80))

;; At 144 the other answers are put together.
(func $reject (param $code i32) (param $length i32) (result i32)
  (i32.store (i32.const 144) (i32.const 0))
  (i32.store (i32.const 152) (i32.const 1))
  (i32.store (i32.const 160) (local.get $code))
  (i32.store (i32.const 164) (local.get $length))
  (i32.const 144))
(func $evaluate_fails (param $text i32) (param $length i32) (result i32)
  (i32.store (i32.const 144) (i32.const 1))
  (i32.store (i32.const 152) (local.get $text))
  (i32.store (i32.const 156) (local.get $length))
  (i32.const 144))
(func $configure_fails (param $text i32) (param $length i32) (result i32)
  (i32.store (i32.const 144) (i32.const 1))
  (i32.store (i32.const 148) (local.get $text))
  (i32.store (i32.const 152) (local.get $length))
  (i32.const 144))
(func $accept_as (param $principal i32) (param $length i32) (result i32)
  (i32.store (i32.const 160) (i32.const 1))
  (i32.store (i32.const 164) (local.get $principal))
  (i32.store (i32.const 168) (local.get $length))
  (i32.const 144))
(func $accept_with (param $attributes i32) (param $count i32) (result i32)
  (i32.store (i32.const 172) (local.get $attributes))
  (i32.store (i32.const 176) (local.get $count))
  (i32.const 144))
(func $accept_until (param $time i64) (result i32)
  (i32.store (i32.const 184) (i32.const 1))
  (i64.store (i32.const 192) (local.get $time))
  (i32.const 144))
