// CityLink
