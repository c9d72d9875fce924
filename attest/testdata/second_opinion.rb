# Verifies COSE_Sign1 messages with ruby-cose. Reads lines "id message x y" in hex, writes lines "id verdict", the
# verdict being ok, signature, or what was wrong with the message. Exit 3: ruby-cose is not installed.
begin
  require "cose"
  require "digest"
rescue LoadError => e
  warn e.message
  exit 3
end

def bytes(hex) = [hex].pack("H*")

# ruby-cose 1.2 fills in an OpenSSL key after making it, which OpenSSL 3 forbids, so this one is made of its DER form.
class Key < COSE::Key::EC2
  def to_pkey
    OpenSSL::PKey.read(OpenSSL::ASN1::Sequence([
      OpenSSL::ASN1::Sequence([OpenSSL::ASN1::ObjectId("id-ecPublicKey"), OpenSSL::ASN1::ObjectId(curve.pkey_name)]),
      OpenSSL::ASN1::BitString("\x04".b + x + y),
    ]).to_der)
  end
end

# The key, with the key id computed here too: first half of the RFC 9679 thumbprint.
def key(x, y)
  curve = x.bytesize == 32 ? 1 : 2
  k = Key.new(crv: curve, x: x, y: y)
  k.kid = Digest::SHA256.digest(CBOR.encode({ 1 => 2, -1 => curve, -2 => x, -3 => y }))[0, 16]
  k
end

REFUSED = ["Signature verification failed", "Non matching kid"].freeze

def verdict(message, key)
  COSE::Sign1.deserialize(message).verify(key) ? "ok" : "signature"
rescue COSE::Error => e
  REFUSED.include?(e.message) ? "signature" : e.message
rescue StandardError => e
  "#{e.class}: #{e.message}"
end

$stdin.each_line do |line|
  id, message, x, y = line.split
  puts "#{id} #{verdict(bytes(message), key(bytes(x), bytes(y)))}"
end
