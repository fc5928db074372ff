// Names within Azure's rules, whatever the prefix is.
// Source: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules

@description('A text\'s letters and digits, in lower case.')
func alphanumeric(text string) string =>
  join(
    filter(
      map(range(0, length(text)), i => substring(toLower(text), i, 1)),
      character => contains('abcdefghijklmnopqrstuvwxyz0123456789', character)
    ),
    ''
  )

@export()
@description('A name of at most 45 lower-case letters, digits and single dashes: the kind, the prefix, and the suffix of 13.')
func dashed(kind string, prefix string, suffix string) string =>
  replace('${kind}-${take(alphanumeric(prefix), 20)}-${suffix}', '--', '-')

@export()
@description('A name of at most 24 lower-case letters and digits: the kind of two letters, as much of the prefix as fits, and the suffix of 13.')
func compact(kind string, prefix string, suffix string) string => '${kind}${take(alphanumeric(prefix), 9)}${suffix}'
