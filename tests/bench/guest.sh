# Runs in the guest, by ci/init: the loads that the kernel's command line names.
GLIBC_TUNABLES=$tunables /bin/loads -p $(echo $loads | tr , ' ')
