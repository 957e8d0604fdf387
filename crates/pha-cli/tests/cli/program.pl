#!/usr/bin/perl
# A daemon as pha-cli knows it: detaches, holds its pid file, ends at SIGTERM. Foreground calls are written down.
use strict;
use Fcntl qw(:flock O_RDWR O_CREAT);
my ($name) = $0 =~ /pha-(\w+)$/;
my ($home) = "@ARGV" =~ /--home (\S+)/;
open(my $calls, '>>', "$home/var/log/calls") or die;
print $calls "pha-$name @ARGV\n";
close($calls);
exit 0 unless grep { $_ eq '--detach' } @ARGV;
if (-e "$home/var/refuse-$name") {
    print STDERR "pha-$name: refused for the test\n";
    exit 77;
}
pipe(my $ready, my $tell);
if (fork()) {
    close($tell);
    exit(defined(scalar <$ready>) ? 0 : 70);
}
require POSIX;
POSIX::setsid();
sysopen(my $pid, "$home/var/run/$name.pid", O_RDWR | O_CREAT) or exit 73;
flock($pid, LOCK_EX | LOCK_NB) or exit 75;
$SIG{TERM} = sub { truncate($pid, 0); exit 0 };
truncate($pid, 0);
syswrite($pid, "$$\n");
open(STDERR, '>', '/dev/null');
syswrite($tell, "up\n");
close($tell);
sleep 60;
