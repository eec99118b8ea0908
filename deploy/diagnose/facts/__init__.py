"""What AWS says of a service, as plain data: each kind of fact, read leniently out of AWS's own answers."""
